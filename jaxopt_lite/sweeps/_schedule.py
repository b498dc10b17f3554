"""The host's side of a sweep: which chunk runs next, how far, and which trials leave it."""

import importlib
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
from jaxopt_lite.training._run import stride_of

# jax.enable_x64 exists since jax 0.8
_enable_x64: Any = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64
)
# Long enough that writing state costs nothing, short enough that a kill loses little.
SECONDS_A_SEGMENT = 5.0
_PROBE_STEPS = 32


class Runner(NamedTuple):
    """A trial with a seed: its row in the ledger, and its numbers."""

    row: int
    seed: int
    member: Member


class Job(NamedTuple):
    """Runs of one group and one choice of merged alternatives, all at the same step.

    Attributes:
        group: number of the group.
        runners: the runs.
        step: steps made.
        end: the step to which they are brought, and at which they are scored.
        state: their state, with rows as the runners; None before the first step.
        copied: whether the state is that of other runs, with other settings inside.
    """

    group: int
    runners: tuple[Runner, ...]
    step: int
    end: int
    state: Chunk | None
    copied: bool = False

    @property
    def chunk_key(self) -> tuple[int, tuple[int, ...], int, int, bool]:
        """Jobs of equal key may share a chunk."""
        return self.group, self.runners[0].member.branches, self.step, self.end, self.copied


class Finished(NamedTuple):
    """A segment that was run.

    Attributes:
        job: what was run.
        outcomes: what to write for each trial.
        rest: the trials that continue, None if there are none.
        seconds_a_step: time of one step of the chunk.
        score_seconds: time of the evaluation; 0 if there was none.
    """

    job: Job
    outcomes: list[Outcome]
    rest: Job | None
    seconds_a_step: float
    score_seconds: float


class Scheduler:
    """Runs jobs on every core or device at once and writes what they did, from one thread, to the ledger."""

    def __init__(
        self,
        programs: Mapping[int, Sequence[Programs]],
        data: Sequence[Any],
        steps: int,
        objective: str,
        ledger: Ledger,
        workers: int,
        keeps: Callable[[float], bool] = lambda _: False,
    ) -> None:
        """`keeps(objective)` says whether the final state of a run of that objective is kept."""
        self._programs = programs  # by group, then by device
        self._keeps = keeps
        self._data = data  # by device
        self._steps = steps
        self._objective = objective
        self._ledger = ledger
        self._workers = workers
        self._pace: dict[int, float] = {}  # seconds of a step of a chunk, by group
        self._devices = deque(range(len(data)))
        self._claim = threading.Lock()
        self._local = threading.local()
        self._x64 = jax.config.jax_enable_x64  # type: ignore[attr-defined]
        self.score_seconds = 0.0  # of all evaluations, summed over workers
        self._slots = [0, 0]  # steps of runs, steps that the chunks had room for

    @property
    def slots(self) -> float:
        """Share of the chunks' slots that trained a run, weighted by steps; the others are padding."""
        used, total = self._slots
        return used / total if total else 1.0

    def run(self, jobs: Sequence[Job], done: Callable[[list[Outcome], int], None]) -> None:
        """Bring all jobs to their ends; calls `done(outcomes, steps)` after each segment, when it is written.

        On an interrupt the segments that are running are still finished and written, then it is raised again.
        """
        waiting = deque(jobs)
        running: dict[Future[Finished], Job] = {}
        with ThreadPoolExecutor(self._workers, initializer=self._claim_device) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * self._workers:
                        job = filled(waiting, self._programs[waiting[0].group][0].width)
                        running[pool.submit(self._segment, job)] = job
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        del running[future]
                        self._settle(future.result(), waiting, done)
            except BaseException:
                for future in running:
                    future.cancel()
                for future in [f for f in running if not f.cancelled()]:
                    if future.exception() is None:
                        self._settle(future.result(), waiting, lambda *_: None)
                raise

    def _claim_device(self) -> None:
        """Give a worker thread its device; on a CPU all threads share the one, whose programs run side by side."""
        with self._claim:
            self._local.device = self._devices[0]
            self._devices.rotate(-1)

    def _settle(self, finished: Finished, waiting: deque[Job], done: Callable[[list[Outcome], int], None]) -> None:
        self._ledger.record(finished.outcomes)
        self._pace[finished.job.group] = finished.seconds_a_step
        self.score_seconds += finished.score_seconds
        job, steps = finished.job, finished.outcomes[0].step - finished.job.step
        self._slots[0] += steps * len(job.runners)
        self._slots[1] += steps * self._programs[job.group][0].width
        done(finished.outcomes, len(finished.outcomes) * (finished.outcomes[0].step - finished.job.step))
        rest = finished.rest
        if rest is not None:
            # a chunk that is more than half full continues at once, so that few states are in memory; the trials of
            # another wait for trials of other chunks at the same step
            full = 2 * len(rest.runners) > self._programs[rest.group][0].width
            (waiting.appendleft if full else waiting.append)(rest)

    def _segment(self, job: Job) -> Finished:
        with _enable_x64(self._x64):  # the caller's setting, which may hold in the caller's thread alone
            return self._run_segment(job)

    def _run_segment(self, job: Job) -> Finished:
        programs, data = self._programs[job.group][self._local.device], self._data[self._local.device]
        last = self._end(job)
        branches = job.runners[0].member.branches
        numbers = stacked([r.member for r in job.runners], programs.width)
        seeds = np.array([r.seed for r in _repeated(job.runners, programs.width)], np.uint32)
        begin = time.perf_counter()
        chunk = programs.started(branches, numbers, seeds) if job.state is None else _padded(job.state, programs.width)
        if job.copied:
            chunk = programs.with_settings(branches, numbers, seeds, chunk)
        chunk = programs.advanced(branches, numbers, seeds, chunk, data, (job.step, last, self._steps))
        jax.block_until_ready(chunk)  # without metrics there are no points to wait for
        points = jax.device_get(chunk.points)
        seconds_a_step = (time.perf_counter() - begin) / (last - job.step)
        alive = [i for i in range(len(job.runners)) if _finite_loss(points, i)]
        scores, score_seconds = {}, 0.0
        if last == job.end and alive:
            begin = time.perf_counter()
            chunk, found = programs.scored(branches, numbers, seeds, chunk, data, last == self._steps)
            scores = jax.device_get(found)
            score_seconds = time.perf_counter() - begin
            alive = [i for i in alive if np.isfinite(scores[self._objective][i])]
        outcomes = self._outcomes(job, last, points, scores, alive)
        carry = self._fill_in_states(outcomes, chunk, alive)
        rest = None
        if last < job.end and alive:
            state = Chunk([x[alive] for x in carry], {name: p[alive] for name, p in points.items()})
            rest = Job(job.group, tuple(job.runners[i] for i in alive), last, job.end, state)
        return Finished(job, outcomes, rest, seconds_a_step, score_seconds)

    def _outcomes(self, job: Job, step: int, points: Any, scores: Any, alive: list[int]) -> list[Outcome]:
        """What to write of each run: it has diverged if its loss or its objective is not finite."""
        status = "done" if step == self._steps else "running"
        outcomes = []
        for i, runner in enumerate(job.runners):
            curve = {name: p[i] for name, p in points.items()}
            values = {name: float(s[i]) for name, s in scores.items()} if i in alive else {}
            outcomes.append(Outcome(runner.row, status if i in alive else "diverged", step, values, curve, None))
        return outcomes

    def _fill_in_states(self, outcomes: list[Outcome], chunk: Chunk, alive: list[int]) -> list[np.ndarray]:
        """Add the states of the runs that continue, and of finished ones that are kept; the arrays of the chunk."""
        stored = [
            i for i in alive if outcomes[i].status == "running" or self._keeps(outcomes[i].scores[self._objective])
        ]
        if not stored:
            return []
        carry = [np.asarray(x) for x in jax.device_get(chunk.carry)]
        for i in stored:
            outcomes[i] = outcomes[i]._replace(arrays=[x[i] for x in carry])
        return carry

    def _end(self, job: Job) -> int:
        """The step at which the next segment ends."""
        pace = self._pace.get(job.group)
        length = _PROBE_STEPS if pace is None else int(SECONDS_A_SEGMENT / pace)
        return segment_end(job.step, job.end, length, stride_of(self._steps))


def segment_end(step: int, end: int, length: int, stride: int) -> int:
    """The end of a segment that begins at `step`, leads to `end`, and should be about `length` steps long.

    Ends are `end` itself or multiples of the curve's stride times a power of two, so that runs that advance in
    different segments meet at the same steps, where they can share a chunk.
    """
    grid = stride << max(0, (max(1, length) // stride).bit_length() - 1)
    return end if end - step <= 1.5 * length else min(end, (step // grid + 1) * grid)


def _finite_loss(points: Any, i: int) -> bool:
    return "loss" not in points or bool(np.isfinite(points["loss"][i]).all())


def filled(waiting: deque[Job], width: int) -> Job:
    """The next job, filled up with trials of other waiting jobs of its key that are not full either."""
    job = waiting.popleft()
    for other in list(waiting):
        room = width - len(job.runners)
        if room and other.chunk_key == job.chunk_key and len(other.runners) < width:
            at = waiting.index(other)
            del waiting[at]
            if len(other.runners) > room:
                waiting.insert(at, _part(other, slice(room, None)))
            job = _joined(job, _part(other, slice(0, room)))
    return job


def _part(job: Job, rows: slice) -> Job:
    state = job.state and jax.tree.map(lambda x: x[rows], job.state)
    return job._replace(runners=job.runners[rows], state=state)


def _joined(a: Job, b: Job) -> Job:
    state = None
    if a.state is not None and b.state is not None:
        state = jax.tree.map(lambda x, y: np.concatenate([x, y]), a.state, b.state)
    return a._replace(runners=a.runners + b.runners, state=state)


def _padded(state: Chunk, width: int) -> Chunk:
    """Rows as many as the program's width; the last one is repeated."""
    return jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], width - len(x), axis=0)]), state)


def _repeated(runners: Sequence[Runner], width: int) -> list[Runner]:
    return [*runners, *[runners[-1]] * (width - len(runners))]
