"""Two processes that start a sweep in one folder at the same moment, 8 times or `PAIRS` times if that is set."""

import multiprocessing
import os
import sqlite3
import threading
from concurrent.futures import ProcessPoolExecutor

import jax.numpy as jnp
import pytest

from jaxopt_lite import sweeps, training
from jaxopt_lite.sweeps.store._ledger import Ledger
from jaxopt_lite.sweeps.store._lock import Lock
from tests.sweeps.test_ledger import made, outcome

PAIRS, SETTINGS = int(os.environ.get("PAIRS", 8)), 50
BARRIER = None


def task():
    def step(trial, carry, data, key):
        return carry - 0.01 * trial["rate"] * carry, {"loss": carry}

    scores = lambda trial, carry, data: {"test_loss": carry}  # noqa: E731
    return training.Task(lambda trial, key: jnp.float32(1), step, scores, jnp.zeros(1))


def entered(barrier):
    global BARRIER
    BARRIER = barrier


def attempts(folder):
    """What happens to one of two processes in each store: the number of its rows, or the error."""
    space, found = {"rate": sweeps.values([i / SETTINGS for i in range(SETTINGS)])}, []
    for nth in range(PAIRS):
        BARRIER.wait(120)
        try:
            found.append(len(sweeps.run(task(), space, steps=5, store=f"{folder}/{nth}", progress=False)))
        except sweeps.StoreError as error:
            found.append(str(error))
    return found


def test_one_of_two_runs_and_nothing_is_lost(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with ProcessPoolExecutor(2, mp_context=context, initializer=entered, initargs=(barrier,)) as pool:
        pairs = zip(*pool.map(attempts, [tmp_path, tmp_path]), strict=True)
    for nth, pair in enumerate(pairs):
        ran, refused = sorted(pair, key=lambda found: isinstance(found, str))
        assert ran == SETTINGS
        assert "another process is running the sweep" in refused or "already holds a sweep" in refused
        assert sweeps.Results.load(tmp_path / str(nth)).columns["status"] == ["done"] * SETTINGS


def test_a_ledger_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    """As on a file system that ignores locks."""
    from jaxopt_lite.sweeps.store import _ledger

    ledger = made(tmp_path / "theirs")
    ledger.record([outcome(0)])
    ledger.close()
    fill = _ledger.fill

    def filled(*arguments):
        fill(*arguments)
        (tmp_path / "s" / "ledger.sqlite").write_bytes((tmp_path / "theirs" / "ledger.sqlite").read_bytes())

    monkeypatch.setattr(_ledger, "fill", filled)
    with pytest.raises(sweeps.StoreError, match="already holds a sweep"):
        made(tmp_path / "s")
    assert sweeps.Results.load(tmp_path / "s").columns["status"][0] == "done"


def test_a_process_that_only_looks_at_the_lock_does_not_stop_another(tmp_path):
    """`BEGIN EXCLUSIVE` reads before it writes: without a wait, two processes that start together refuse each other."""
    Lock(tmp_path / "s").release()
    reader = sqlite3.connect(tmp_path / "s" / "ledger.lock", isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM sqlite_master").fetchall()
    leaves = threading.Timer(0.1, reader.close)
    leaves.start()
    Lock(tmp_path / "s").release()
    leaves.join()


def test_a_locked_folder_is_refused_and_a_failed_start_removes_what_it_made(tmp_path):
    lock = Lock(tmp_path / "s")
    with pytest.raises(sweeps.StoreError, match="another process is running"):
        made(tmp_path / "s")
    with pytest.raises(sweeps.StoreError, match="another process is running"):
        sweeps.run(task(), {"rate": 1.0}, steps=5, store=tmp_path / "s")
    lock.release(undo=True)
    assert list(tmp_path.iterdir()) == []
    made(tmp_path / "s").close()
    with pytest.raises(sweeps.StoreError, match="already holds"):
        made(tmp_path / "s")
    Ledger.open(tmp_path / "s", write=True).close()
