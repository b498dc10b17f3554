"""Sweeps in worker processes: the same numbers, whatever happens to the workers."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading

import jax
import numpy as np
import pytest

from jaxopt_lite import optimizers, sweeps, training
from jaxopt_lite.sweeps._lines import sentence
from jaxopt_lite.sweeps.execution import _processes, _schedule
from jaxopt_lite.sweeps.execution._portable import setup
from tests.sweeps import small

RULE = sweeps.halving(eta=3, first=1 / 9, race=True)


@pytest.fixture
def workers(monkeypatch):
    """The worker processes, as they are started."""
    found = []

    class Kept(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            found.append(self)

    monkeypatch.setattr(_processes.subprocess, "Popen", Kept)
    return found


def numbers(results):
    return [
        (tuple(map(repr, row.values())), {name: curve.tobytes() for name, curve in curves.items()})
        for row, curves in zip(results.rows(), results.curves, strict=True)
    ]


def test_numbers_are_the_same_in_processes_of_which_one_is_killed_and_one_hangs(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(_schedule, "segment_end", lambda step, end, length, stride: min(end, step + 100))
    here = sweeps.run(small.task(), small.space(), seeds=3, steps=900, stop=RULE, progress=False)
    reports, last = 0, None

    def disturb(progress):
        nonlocal reports, last
        last = progress
        reports += progress.trials_done > 0 or progress.share_ran > 0
        if reports == 2:
            workers[0].send_signal(signal.SIGKILL)
        if reports == 4:
            workers[1].send_signal(signal.SIGSTOP)

    on = sweeps.processes(2, patience=8)
    options = {"seeds": 3, "steps": 900, "stop": RULE, "store": tmp_path / "s"}
    there = sweeps.run(small.task(), small.space(), **options, on=on, progress=disturb)
    assert numbers(there) == numbers(here)
    assert there.facts["last"]["workers_lost"] == last.workers_lost == 2
    assert here.facts["last"]["workers_lost"] == 0
    assert ", 2 workers lost and replaced" in sentence(last, "test_accuracy")
    assert {-signal.SIGKILL} <= {worker.returncode for worker in workers[:2]}
    assert all(worker.returncode is not None for worker in workers)
    model = there.model()
    np.testing.assert_array_equal(model.inner.kernel[...], here.model().inner.kernel[...])


def test_the_callback_of_a_task_runs_in_the_workers_and_its_error_is_the_runs():
    from tests.sweeps.test_failed import swept, task

    found = swept(task((0.2,), at=100), rates=(0.1, 0.2), on=sweeps.processes(1))
    assert found.columns["status"] == ["done"] * 2 + ["failed"] * 2
    assert "rate 0.2 is not allowed" in found.errors[2]


def test_a_finished_sweep_that_lacks_final_states_gets_them_from_processes(tmp_path, monkeypatch):
    class Opened(Exception):
        pass

    def opened(self, ready, recipes):
        raise Opened

    options = {"steps": 5, "store": tmp_path / "s", "progress": False}
    space = {"activation": jax.nn.relu, "optimizer": optimizers.sgd(0.1)}
    sweeps.run(small.plain(), space, **options, keep=0)
    monkeypatch.setattr(_processes.Processes, "open", opened)  # starting one takes seconds
    with pytest.raises(Opened):
        sweeps.run(small.plain(), space, **options, resume=True, on=sweeps.processes(1))


def test_an_error_while_a_worker_builds_the_programs_is_told():
    here = os.getpid()

    def init(trial, key):
        if os.getpid() != here:
            raise FileNotFoundError("no such file: weights.npz")
        return jax.numpy.float32(1)

    step = lambda trial, w, data, key: (w - trial["rate"] * w, {"loss": w})  # noqa: E731
    task = training.Task(init, step, lambda trial, w, data: {"test_loss": w}, None)
    with pytest.raises(RuntimeError, match="cannot build the programs: FileNotFoundError: no such file: weights"):
        sweeps.run(task, {"rate": 0.1}, steps=5, on=sweeps.processes(1), progress=False)


def test_a_program_of_the_working_directory_needs_no_guard_and_may_hold_lambdas(tmp_path):
    program = """
        import jax.numpy as jnp
        from jaxopt_lite import optimizers, sweeps, training
        rate = lambda trial: trial["rate"]
        step = lambda trial, w, data, key: (w - rate(trial) * 2 * w, {"loss": w**2})
        scores = lambda trial, w, data: {"test_loss": w**2}
        task = training.Task(lambda trial, key: jnp.float32(1.0), step, scores, None)
        found = sweeps.run(task, {"rate": sweeps.values([0.25, 1.5])}, steps=200, on=sweeps.processes(1))
        print(found.columns["status"])
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(program))  # a module of the working directory
    ended = subprocess.run(
        [sys.executable, "-c", "import mine"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.stdout == "['done', 'diverged']\n", ended.stderr


def test_a_task_that_cannot_be_sent_is_refused_with_the_name_of_the_variable():
    lock = threading.Lock()

    def evaluate(trial, w, data):
        with lock:
            return {"test_loss": w}

    step = lambda trial, w, data, key: (w - trial["rate"] * w, {"loss": w})  # noqa: E731
    task = training.Task(lambda trial, key: jax.numpy.float32(1), step, evaluate, None, name="locked")
    with pytest.raises(ValueError, match=r"task 'locked' cannot be sent .* because of 'lock', a lock"):
        sweeps.run(task, {"rate": 0.1}, steps=5, on=sweeps.processes(1), progress=False)


def test_data_that_a_worker_cannot_read_are_an_error_of_the_stream():
    ours, theirs = multiprocessing.Pipe()
    worker = object.__new__(_processes._Process)
    worker._connection, worker._patience = ours, 5.0
    theirs.send(("error", "StreamError: cannot read the batches of steps 0 to 9: OSError: the disk is gone"))
    with ours, theirs, pytest.raises(training.StreamError, match=r"^cannot read the batches .* the disk is gone$"):
        worker._ask("perform", None)


def test_a_worker_that_takes_long_to_read_is_not_lost_while_it_gives_signs_of_life(tmp_path, monkeypatch):
    worker = """
        import sys, time
        from multiprocessing.connection import Connection
        sweep = Connection(int(sys.argv[1]))
        for _ in range(10):
            time.sleep(0.25)
            sweep.send(("beat", None))
        sweep.send(("answer", None))
        sweep.recv()
        sweep.send(("answer", None))
    """
    (tmp_path / "worker.py").write_text(textwrap.dedent(worker))
    monkeypatch.setattr(_processes._serve, "__file__", str(tmp_path / "worker.py"))
    large = bytes(10_000_000)
    _processes._Process(large, lambda group: None, patience=2.0, closed=threading.Event()).close()


def test_modules_that_the_user_sends_by_value_stay_registered():
    cloudpickle = pytest.importorskip("cloudpickle")
    planned = sweeps.plan(small.plain(), {"activation": jax.nn.relu, "optimizer": optimizers.sgd(0.1)}, steps=5)
    cloudpickle.register_pickle_by_value(small)
    try:
        before = cloudpickle.list_registry_pickle_by_value()
        setup(planned.task, planned.groups, planned.layout, by_value=True)
        assert cloudpickle.list_registry_pickle_by_value() == before
    finally:
        cloudpickle.unregister_pickle_by_value(small)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sweeps.processes(0), "at least 1; got 0"),
        (lambda: sweeps.processes(2, patience=1), "patience must be a number of seconds of at least 2"),
        (lambda: sweeps.plan(small.task(), small.space(), steps=5, on=2), r"on takes sweeps.processes\(...\)"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_plan_says_where_it_runs():
    assert "2 at a time on 2 processes of this machine" in str(
        sweeps.plan(small.task(), small.space(), steps=5, on=sweeps.processes(2))
    )
