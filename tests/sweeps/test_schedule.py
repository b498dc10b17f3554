"""Where segments end and how chunks are filled, with programs that count instead of training."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from jaxopt_lite.sweeps.execution import _schedule, _threads, _work
from jaxopt_lite.sweeps.execution._schedule import Job, Runner, Scheduler, segment_end
from jaxopt_lite.sweeps.execution._threads import Threads
from jaxopt_lite.sweeps.programs._group import Member
from jaxopt_lite.sweeps.programs._program import Chunk
from jaxopt_lite.sweeps.store._ledger import Ledger, Row

STEPS = 400


@pytest.mark.parametrize("steps", [1, 7, 100, 101, 500, 12345])
@pytest.mark.parametrize("length", [0, 1, 32, 100, 10**6])
def test_segments_end_on_a_grid_and_the_last_at_the_end(steps, length):
    ends, step = [], 0
    while step < steps:
        step, before = segment_end(step, steps, length, -(-steps // 100)), step
        assert before < step <= steps
        ends.append(step)
    stride = -(-steps // 100)
    assert all(end % stride == 0 for end in ends[:-1])
    assert ends[-1] == steps
    assert len(ends) <= 2 * steps / max(stride, length) + 2


def test_segments_of_different_pace_meet():
    ends = {}
    for length in (40, 75, 160):
        step, ends[length] = 0, set()
        while step < STEPS:
            step = segment_end(step, STEPS, length, 4)
            ends[length].add(step)
    assert ends[160] <= ends[75] <= ends[40]


class Counting:
    """Programs whose trial `i` diverges at step `ends[i]`; every call is a row (slots used, was it scored)."""

    width, record, labels = 8, None, None

    def __init__(self, ends):
        self.ends, self.calls = np.asarray(ends), []

    def started(self, taken, numbers, seeds):
        return Chunk([np.zeros(self.width, np.int64)], {"loss": np.zeros((self.width, 100))})

    def advanced(self, taken, numbers, seeds, chunk, data, span, stride):
        np.testing.assert_array_equal(chunk.carry[0], span[0])  # a chunk joins trials of one step
        diverged = self.ends[seeds] <= span[1]
        self.calls.append((len(np.unique(seeds)), False))
        points = np.where(diverged[:, None], np.nan, np.zeros((self.width, 100)))
        return Chunk([np.full(self.width, span[1], np.int64)], {"loss": points})

    def scored(self, taken, numbers, seeds, chunk, data, final):
        self.calls.append((len(np.unique(seeds)), True))
        return chunk, {"test_loss": chunk.carry[0].astype(float)}


def scheduled(ends, counting=Counting):
    programs = counting(ends)
    facts = {"objective": "test_loss", "steps": STEPS}
    ledger = Ledger.create(None, facts, [Row(i, {}, i, "waiting", 0) for i in range(len(ends))])
    executor = Threads({0: {0: programs}}, [None], 1)
    scheduler = Scheduler(executor, {0: programs.width}, STEPS, "test_loss", ledger)
    runners = [Runner(i, i, Member((), ())) for i in range(len(ends))]
    jobs = [Job(0, tuple(runners[i : i + 8]), 0, STEPS, None) for i in range(0, len(runners), 8)]
    scheduler.run(jobs, lambda *_: None)
    executor.close()
    return programs.calls, ledger.rows()


def test_chunks_are_filled_again_when_most_trials_diverge(monkeypatch):
    """Three quarters of the trials diverge in the first segment."""
    monkeypatch.setattr(_schedule, "segment_end", lambda step, end, length, stride: step + 40)
    ends = [1 if i % 4 else 10**6 for i in range(256)]
    calls, rows = scheduled(ends)
    assert [row.status for row in rows].count("done") == 64
    later = [used for used, scored in calls[32:] if not scored]
    assert sum(later) / (8 * len(later)) > 0.9


def test_only_finished_trials_are_scored():
    calls, rows = scheduled([10**6] * 16)
    assert [row.status for row in rows] == ["done"] * 16
    assert [scored for _, scored in calls].count(True) == 2
    assert [scored for _, scored in calls].count(False) > 2


def test_the_time_of_an_evaluation_is_not_counted_as_that_of_steps(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_work.time, "perf_counter", lambda: now[0])

    class Slow(Counting):
        def advanced(self, taken, numbers, seeds, chunk, data, span, stride):
            now[0] += 0.01 * (span[1] - span[0])
            return super().advanced(taken, numbers, seeds, chunk, data, span, stride)

        def scored(self, *arguments):
            now[0] += 60
            return super().scored(*arguments)

    calls, _ = scheduled([10**6] * 8 * 20, Slow)
    # the first segments probe the pace; at 0.01 s a step all steps fit into one segment
    assert len([1 for _, scored in calls if not scored]) <= 20 + 3
    assert len([1 for _, scored in calls if scored]) == 20


def test_the_time_of_steps_without_metrics_includes_the_wait_for_the_device(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_work.time, "perf_counter", lambda: now[0])

    class Computing:
        """An array that the device computes for 0.01 s a step."""

        def __init__(self, values, seconds):
            self.values, self.seconds = values, seconds

        def block_until_ready(self):
            now[0] += self.seconds
            self.seconds = 0.0
            return self

        def __array__(self, *_, **__):
            return self.values

    class WithoutMetrics(Counting):
        def advanced(self, taken, numbers, seeds, chunk, data, span, stride):
            self.calls.append((span, False))
            return Chunk([Computing(np.full(self.width, span[1]), 0.01 * (span[1] - span[0]))], {})

        def scored(self, taken, numbers, seeds, chunk, data, final):
            return chunk, {"test_loss": np.zeros(self.width)}

    calls, rows = scheduled([10**6] * 8, WithoutMetrics)
    assert [row.status for row in rows] == ["done"] * 8
    assert [span[:2] for span, _ in calls] == [(0, 32), (32, 400)]  # the first segment measures the pace


def test_a_chunk_runs_on_the_least_busy_device_that_has_its_programs(monkeypatch):
    go = threading.Event()

    def performed(programs, data, work):
        go.wait(10)
        return programs, data

    monkeypatch.setattr(_threads, "attempted", performed)
    everywhere = {device: f"0 on {device}" for device in range(3)}
    executor = Threads({0: everywhere, 1: {1: "1 on 1"}}, ["data 0", "data 1", "data 2"], 3)
    groups = [0, 0, 0, 1, 1, 0, 0]
    futures = [executor.submit(SimpleNamespace(group=group)) for group in groups]
    go.set()
    assert [future.result()[1][-1] for future in futures] == ["0", "1", "2", "1", "1", "0", "2"]
    assert futures[3].result() == ("1 on 1", "data 1")
    executor.close()
    assert executor._works == [0, 0, 0]
