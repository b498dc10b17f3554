"""The host's side of a sweep: which chunk runs next, how far, and who leaves it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lite.sweeps._group import Member, stacked
from jaxopt_lite.sweeps._ledger import Ledger, Outcome
from jaxopt_lite.sweeps._program import Chunk, Programs

# Long enough that writing state costs nothing, short enough that a kill loses little.
SECONDS_A_SEGMENT = 5.0
_PROBE_STEPS = 32


class Runner(NamedTuple):
    """A trial with a seed: its row in the ledger, and its numbers."""

    row: int
    seed: int
    member: Member


class Job(NamedTuple):
    """Trials of one group and one choice of merged alternatives, all at the same step."""

    group: int
    runners: tuple[Runner, ...]
    step: int
    state: Chunk | None  # rows as the runners; None before the first step

    @property
    def kind(self) -> tuple[int, tuple[int, ...], int]:
        """Jobs of one kind may share a chunk."""
        return self.group, self.runners[0].member.taken, self.step


class Finished(NamedTuple):
    """A segment that was run: what to write, who goes on, and the seconds a step took."""

    job: Job
    outcomes: list[Outcome]
    onward: Job | None
    seconds_a_step: float


class Scheduler:
    """Runs jobs on every core or device at once and writes what they did, from one thread, to the ledger."""

    def __init__(
        self,
        programs: Mapping[int, Sequence[Programs]],
        data: Sequence[Any],
        steps: int,
        ledger: Ledger,
        workers: int,
    ) -> None:
        self._programs = programs  # by group, then by device
        self._data = data  # by device
        self._steps = steps
        self._ledger = ledger
        self._workers = workers
        self._pace: dict[int, float] = {}  # seconds a step, by group
        self._free = deque(range(len(data)))
        self._local = threading.local()

    def run(self, jobs: Sequence[Job], done: Callable[[list[Outcome], int], None]) -> None:
        """Run all jobs to their last step; `done(outcomes, steps)` is told of every segment, after it is written.

        On an interrupt the segments at hand are still finished and written, then it is raised again.
        """
        ready = deque(jobs)
        flying: dict[Future[Finished], Job] = {}
        with ThreadPoolExecutor(self._workers, initializer=self._claim) as pool:
            try:
                while ready or flying:
                    while ready and len(flying) < 2 * self._workers:
                        job = _filled(ready, self._programs[ready[0].group][0].width)
                        flying[pool.submit(self._segment, job)] = job
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        del flying[future]
                        self._settle(future.result(), ready, done)
            except BaseException:
                for future in flying:
                    future.cancel()
                for future in [f for f in flying if not f.cancelled()]:
                    if future.exception() is None:
                        self._settle(future.result(), ready, lambda *_: None)
                raise

    def _claim(self) -> None:
        """Give a worker thread its device; on a CPU all threads share the one, whose programs run side by side."""
        self._local.device = self._free[0]
        self._free.rotate(-1)

    def _settle(self, finished: Finished, ready: deque[Job], done: Callable[[list[Outcome], int], None]) -> None:
        self._ledger.record(finished.outcomes)
        self._pace[finished.job.group] = finished.seconds_a_step
        done(finished.outcomes, len(finished.outcomes) * (finished.outcomes[0].step - finished.job.step))
        onward = finished.onward
        if onward is not None:
            # what stays whole goes on at once and is soon out of memory; what lost half of its trials waits for others
            whole = 2 * len(onward.runners) > self._programs[onward.group][0].width
            (ready.appendleft if whole else ready.append)(onward)

    def _segment(self, job: Job) -> Finished:
        programs, data = self._programs[job.group][self._local.device], self._data[self._local.device]
        last = self._reach(job)
        taken = job.runners[0].member.taken
        numbers = stacked([r.member for r in job.runners], programs.width)
        seeds = np.array([r.seed for r in _repeated(job.runners, programs.width)], np.uint32)
        begun = time.perf_counter()
        chunk = programs.started(taken, numbers, seeds) if job.state is None else _padded(job.state, programs.width)
        chunk, scores = programs.advanced(taken, numbers, seeds, chunk, data, (job.step, last, self._steps))
        sums, scores = jax.device_get((chunk.sums, scores))
        seconds = (time.perf_counter() - begun) / (last - job.step)
        outcomes, alive = self._read(job, last, sums, scores)
        if last == self._steps or not alive:
            return Finished(job, outcomes, None, seconds)
        carry = [np.asarray(x)[alive] for x in jax.device_get(chunk.carry)]
        state = Chunk(carry, {name: s[alive] for name, s in sums.items()})
        for place, i in enumerate(alive):
            outcomes[i] = outcomes[i]._replace(arrays=[x[place] for x in carry])
        return Finished(job, outcomes, Job(job.group, tuple(job.runners[i] for i in alive), last, state), seconds)

    def _reach(self, job: Job) -> int:
        """The step at which the next segment ends: some seconds away, or a few steps where the pace is unknown."""
        pace = self._pace.get(job.group)
        length = _PROBE_STEPS if pace is None else max(1, int(SECONDS_A_SEGMENT / pace))
        return self._steps if job.step + 1.5 * length >= self._steps else job.step + length

    def _read(self, job: Job, last: int, sums: Any, scores: Any) -> tuple[list[Outcome], list[int]]:
        """What to write of each trial, and which trials go on. One that left the finite numbers has diverged."""
        outcomes, alive = [], []
        for i, runner in enumerate(job.runners):
            own = {name: float(s[i]) for name, s in scores.items()}
            curve = {name: s[i] for name, s in sums.items()}
            final = last == self._steps
            # in mid-run only what every step records counts: where a segment ends is a matter of pace
            finite = all(np.isfinite(s).all() for s in curve.values())
            finite = finite and (not final or all(np.isfinite(list(own.values()))))
            status = "diverged" if not finite else "done" if final else "running"
            kept = own if finite and final else {}
            outcomes.append(Outcome(runner.row, status, last, kept, curve, None))
            if finite and not final:
                alive.append(i)
        return outcomes, alive


def _filled(ready: deque[Job], width: int) -> Job:
    """The next job, with the trials of other waiting jobs of its kind as far as there is room for them."""
    job = ready.popleft()
    if len(job.runners) == width:
        return job
    for other in list(ready):
        if other.kind == job.kind and len(job.runners) + len(other.runners) <= width:
            ready.remove(other)
            job = _joined(job, other)
    return job


def _joined(a: Job, b: Job) -> Job:
    state = None
    if a.state is not None and b.state is not None:
        state = jax.tree.map(lambda x, y: np.concatenate([x, y]), a.state, b.state)
    return Job(a.group, a.runners + b.runners, a.step, state)


def _padded(state: Chunk, width: int) -> Chunk:
    """Rows as many as the program's width; the last one is repeated."""
    return jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], width - len(x), axis=0)]), state)


def _repeated(runners: Sequence[Runner], width: int) -> list[Runner]:
    return [*runners, *[runners[-1]] * (width - len(runners))]
