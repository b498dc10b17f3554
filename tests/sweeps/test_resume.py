"""A sweep that is killed at any moment and resumed gives the table of one that was not, bit for bit."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jaxopt_lite import sweeps
from tests.sweeps import small

ROOT = Path(__file__).parents[2]


def ran(store, cache, kill_at=0):
    command = [sys.executable, "-m", "tests.sweeps.killed", str(store), str(cache), str(kill_at)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache):
    store = tmp_path_factory.mktemp("whole") / "store"
    process = ran(store, cache)
    assert process.stdout == "finished\n", process.stderr
    return store


def test_killed_at_three_statements(undisturbed, cache, tmp_path):
    """In the creation of the ledger, in a transaction that records segments, and so again after that was resumed."""
    store = tmp_path / "store"
    for kill_at in (10, 407, 302):
        assert ran(store, cache, kill_at).returncode == -signal.SIGKILL
        assert (store / "ledger.sqlite").exists() == (kill_at != 10)
    unfinished = sweeps.Results.load(store)
    assert {"running", "waiting"} & set(unfinished.columns["status"])
    process = ran(store, cache)
    assert process.stdout == "finished\n", process.stderr
    assert small.columns(sweeps.Results.load(store)) == small.columns(sweeps.Results.load(undisturbed))


def test_segments_do_not_show(undisturbed):
    """The same sweep in this process, in long segments."""
    whole = sweeps.run(small.plain(), small.space(), seeds=2, steps=3000)
    assert small.columns(whole) == small.columns(sweeps.Results.load(undisturbed))


def test_resuming_a_finished_sweep_runs_nothing_and_says_so(undisturbed, capfd):
    again = sweeps.run(small.plain(), small.space(), seeds=2, steps=3000, store=undisturbed, resume=True)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("the sweep is complete, nothing is left to run, best run ")
    assert again.facts["last"] | {"compile_seconds": 0, "run_seconds": 0} == {
        "programs": 0,
        "compiled": 0,
        "compile_seconds": 0,
        "run_seconds": 0,
        "score_seconds": 0.0,
        "trials": 0,
        "steps": 0,
        "slots": 1.0,
        "workers_lost": 0,
    }
    assert len(again) == 12


def test_an_interrupted_sweep_keeps_finished_runs(tmp_path):
    def interrupt(progress):
        if progress.phase == "run" and progress.trials_done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeps.run(small.plain(), small.space(), seeds=6, steps=40, store=tmp_path / "s", progress=interrupt)
    kept = sweeps.Results.load(tmp_path / "s").columns["status"]
    assert kept.count("done") >= 6
    resumed = sweeps.run(small.plain(), small.space(), seeds=6, steps=40, store=tmp_path / "s", resume=True)
    undisturbed = sweeps.run(small.plain(), small.space(), seeds=6, steps=40)
    assert small.columns(resumed) == small.columns(undisturbed)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"steps": 41}, "in its steps: the store has 40, requested 41"),
        ({"seeds": 3}, "in its seeds"),
        ({"space": small.space((0.01, 0.2, 1.0))}, r"learning_rate 0.1, requested .*learning_rate 0.2"),
        ({"task": small.plain()._replace(data=small.data(60))}, "in its data"),
        ({"task": small.plain()._replace(name="other")}, "in its task"),
    ],
)
def test_another_sweep_is_not_resumed(tmp_path_factory, change, message):
    store = tmp_path_factory.getbasetemp() / "another"
    given = {"task": small.plain(), "space": small.space(), "seeds": 2, "steps": 40}
    if not store.exists():
        sweeps.run(**given, store=store)
    with pytest.raises(sweeps.StoreError, match=message):
        sweeps.run(**(given | change), store=store, resume=True)


def test_another_program_is_not_mixed_in(tmp_path):
    def interrupt(progress):
        if progress.phase == "run" and progress.trials_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeps.run(small.plain(), small.space(), seeds=60, steps=40, store=tmp_path / "s", progress=interrupt)
    with pytest.raises(sweeps.StoreError, match="compiled program"):
        sweeps.run(small.plain(batch_size=9), small.space(), seeds=60, steps=40, store=tmp_path / "s", resume=True)
