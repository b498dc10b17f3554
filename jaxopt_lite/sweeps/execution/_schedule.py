"""The host's side of a sweep: which chunk runs next, how far, and which trials leave it."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import NamedTuple, Protocol

import jax
import numpy as np

from jaxopt_lite.diagnostics import Record
from jaxopt_lite.sweeps.execution._work import Answer, Failed, Span, Work, finite_loss
from jaxopt_lite.sweeps.programs._group import Member, stacked
from jaxopt_lite.sweeps.programs._program import Chunk
from jaxopt_lite.sweeps.programs._width import Widths
from jaxopt_lite.sweeps.store._ledger import Ledger, Outcome
from jaxopt_lite.training._run import stride_of

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
        alone: whether it shares no chunk with another job, since a run of it may not survive.
    """

    group: int
    runners: tuple[Runner, ...]
    step: int
    end: int
    state: Chunk | None
    copied: bool = False
    alone: bool = False

    @property
    def chunk_key(self) -> tuple[int, tuple[int, ...], int, int, bool]:
        """Jobs of equal key may share a chunk."""
        return self.group, self.runners[0].member.branches, self.step, self.end, self.copied


class Executor(Protocol):
    """What does the works of a sweep: a `Pool`.

    Attributes:
        slots: how many works should be submitted at a time.
    """

    slots: int

    def submit(self, work: Work) -> Future[Answer | Failed]:
        """Do a work."""
        ...


class Scheduler:
    """Cuts jobs into segments, gives them to an executor, and writes what they did, from one thread, to the ledger.

    If a segment fails, each of its runs is tried without the others; a run that fails on its own gets the status
    `failed`. That is written when another run has been scored or has diverged: a task that always fails raises its
    error instead.
    """

    def __init__(
        self,
        executor: Executor,
        widths: Widths | Mapping[int, int],
        steps: int,
        objective: str,
        ledger: Ledger,
        keeps: Callable[[float], bool] | None = None,
        unit: int = 1,
    ) -> None:
        """Prepare to run jobs.

        Args:
            executor: what runs the segments.
            widths: the number of slots of a chunk, by number of the group.
            steps: steps of a complete run.
            objective: name of the score that must be finite.
            ledger: what the outcomes are written to.
            keeps: says whether the final state of a run of some objective is kept; None if no final state is.
            unit: the steps in a point of the curves are a multiple of it.
        """
        self._executor, self._widths = executor, widths
        self._steps, self._stride, self._objective = steps, stride_of(steps, unit), objective
        self._ledger, self._keeps = ledger, keeps
        self._pace: dict[int, float] = {}  # seconds of a step of a chunk, by group
        self.score_seconds = 0.0  # of all evaluations, summed over workers
        self._failures: list[tuple[Job, Failed]] = []  # not written yet
        # that runs can be made
        self._proven = bool(ledger.scores_by_step(objective)) or any(row.status == "diverged" for row in ledger.rows())
        self._slots = [0, 0]  # steps of runs, steps that the chunks had room for

    @property
    def slots(self) -> float:
        """Share of the chunks' slots that trained a run, weighted by steps; the others are padding."""
        used, total = self._slots
        return used / total if total else 1.0

    def run(self, jobs: Sequence[Job], done: Callable[[list[Outcome], int], None]) -> None:
        """Bring all jobs to their ends; calls `done(outcomes, steps)` after each segment, when it is written.

        On an interrupt the segments that are running are still finished and written, then it is raised again.

        Raises:
            Exception: every run fails; that of the first one.
        """
        waiting = deque(jobs)
        running: dict[Future[Answer | Failed], tuple[Job, Work]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._executor.slots:
                    job = filled(waiting, self._widths[waiting[0].group])
                    work = self._work(job)
                    running[self._executor.submit(work)] = job, work
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    self._settle(*running.pop(future), future.result(), waiting, done)
            if self._failures:
                error = self._failures[0][1]
                raise error.error or RuntimeError(f"every run fails, the first one with: {error.text}")
        except BaseException:
            for future in running:
                future.cancel()
            for future, (job, work) in running.items():
                if not future.cancelled() and future.exception() is None:
                    self._settle(job, work, future.result(), waiting, lambda *_: None)
            raise

    def _work(self, job: Job) -> Work:
        """The next segment of a job."""
        width, end = self._widths[job.group], self._end(job)
        return Work(
            group=job.group,
            branches=job.runners[0].member.branches,
            numbers=stacked([r.member for r in job.runners], width),
            seeds=np.array([r.seed for r in _repeated(job.runners, width)], np.uint32),
            state=job.state and _padded(job.state, width),
            copied=job.copied,
            span=Span(job.step, end, self._steps, self._stride),
            score=end == job.end,
            keep=end < self._steps or self._keeps is not None,
            runs=len(job.runners),
        )

    def _end(self, job: Job) -> int:
        """The step at which the next segment ends."""
        pace = self._pace.get(job.group)
        length = _PROBE_STEPS if pace is None else int(SECONDS_A_SEGMENT / pace)
        return segment_end(job.step, job.end, length, self._stride)

    def _settle(
        self,
        job: Job,
        work: Work,
        answer: Answer | Failed,
        waiting: deque[Job],
        done: Callable[[list[Outcome], int], None],
    ) -> None:
        """Write what a segment did, and let the runs that continue wait for the next one."""
        if isinstance(answer, Failed):
            self._settle_failed(job, answer, waiting, done)
            return
        alive = [i for i in range(work.runs) if finite_loss(answer.points, i)]
        if work.score and alive:
            alive = [i for i in alive if np.isfinite(answer.scores[self._objective][i])]
        outcomes = self._outcomes(job, work, answer, alive)
        self._ledger.record(outcomes)
        self._pace[job.group] = answer.seconds_a_step
        self.score_seconds += answer.score_seconds
        steps = work.span.end - work.span.begin
        self._slots[0] += steps * work.runs
        self._slots[1] += steps * self._widths[job.group]
        done(outcomes, steps * work.runs)
        self._proven = self._proven or bool(answer.scores) or any(o.status == "diverged" for o in outcomes)
        self._write_failures(done)
        if work.span.end < job.end and alive:
            state = Chunk([x[alive] for x in answer.carry], {name: p[alive] for name, p in answer.points.items()})
            rest = Job(job.group, tuple(job.runners[i] for i in alive), work.span.end, job.end, state)
            # a chunk that is more than half full continues at once, so that few states are in memory; the trials of
            # another wait for trials of other chunks at the same step
            full = 2 * len(rest.runners) > self._widths[rest.group]
            (waiting.appendleft if full else waiting.append)(rest)

    def _settle_failed(
        self, job: Job, failed: Failed, waiting: deque[Job], done: Callable[[list[Outcome], int], None]
    ) -> None:
        """Let the runs of a segment that failed be tried one by one; write that a run failed on its own."""
        if len(job.runners) > 1:
            parts = [_part(job, slice(i, i + 1))._replace(alone=True) for i in range(len(job.runners))]
            waiting.extendleft(reversed(parts))
            return
        self._failures.append((job, failed))
        self._write_failures(done)

    def _write_failures(self, done: Callable[[list[Outcome], int], None]) -> None:
        """Write which runs have failed, if another one has ended well or diverged."""
        if self._failures and self._proven:
            failures = [(job.runners[0].row, job.step, failed.text) for job, failed in self._failures]
            self._failures.clear()
            done(self._ledger.fail(failures), 0)

    def _outcomes(self, job: Job, work: Work, answer: Answer, alive: list[int]) -> list[Outcome]:
        """What to write of each run: it has diverged if its loss or its objective is not finite."""
        last = work.span.end == self._steps
        outcomes = []
        for i, runner in enumerate(job.runners):
            curve = {name: p[i] for name, p in answer.points.items()}
            status, scores, arrays = "diverged", dict[str, float](), None
            if i in alive:
                status = "done" if last else "running"
                scores = {name: float(s[i]) for name, s in answer.scores.items()}
                if not last or (self._keeps is not None and self._keeps(scores[self._objective])):
                    arrays = [x[i] for x in answer.carry]
            records = {}
            if answer.labels is not None:
                records = {step: Record(answer.labels, numbers) for step, numbers in answer.records[i].items()}
            outcomes.append(Outcome(runner.row, status, work.span.end, scores, curve, arrays, records))
        return outcomes


def segment_end(step: int, end: int, length: int, stride: int) -> int:
    """The end of a segment that begins at `step`, leads to `end`, and should be about `length` steps long.

    Ends are `end` itself or multiples of the curve's stride times a power of two, so that runs that advance in
    different segments meet at the same steps, where they can share a chunk.
    """
    grid = stride << max(0, (max(1, length) // stride).bit_length() - 1)
    return end if end - step <= 1.5 * length else min(end, (step // grid + 1) * grid)


def filled(waiting: deque[Job], width: int) -> Job:
    """The next job, filled up with trials of other waiting jobs of its key that are not full either."""
    job = waiting.popleft()
    for other in [] if job.alone else list(waiting):
        room = width - len(job.runners)
        if room and other.chunk_key == job.chunk_key and len(other.runners) < width and not other.alone:
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

    def filled_up(x: np.ndarray) -> np.ndarray:
        return x if len(x) == width else np.concatenate([x, np.repeat(x[-1:], width - len(x), axis=0)])

    return jax.tree.map(filled_up, state)


def _repeated(runners: Sequence[Runner], width: int) -> list[Runner]:
    return [*runners, *[runners[-1]] * (width - len(runners))]
