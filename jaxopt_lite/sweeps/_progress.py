"""The state of a sweep while it runs."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps.store._database import CONFIRM, Row
from jaxopt_lite.sweeps.store._ledger import FINAL, LOSSES, Ledger, Outcome
from jaxopt_lite.sweeps.strategies._halving import Halving, Hyperband


class Progress(NamedTuple):
    """The state of a sweep, given to `progress` while programs compile and after every segment.

    Attributes:
        phase: `"compile"` or `"run"`.
        programs: number of programs to compile, on all devices.
        programs_ready: number of them that are compiled.
        trials: number of runs, as in the JSON of the command; the argument `trials` of a sweep counts settings.
        trials_done: number of runs that are done, diverged, failed or pruned.
        trials_diverged: number of runs that diverged.
        trials_ran: number of runs that ended since this call began.
        share: share of the expected steps that are made, from 0 to 1; those of diverged runs count as made.
        share_ran: share of all steps that were made since this call began.
        seconds: since the phase began.
        best: of the runs scored at the latest step so far, the best: its settings, seed, step and objective, by name.
            None before there is one.
        settings: number of settings that the sweep may train.
        settings_alive: number of settings that no rule has stopped; at the end, of those that are done with all seeds.
        rungs: number of steps at which runs are scored: 1 without a rule or a population.
        step: the largest step to which runs are being brought now.
        compute: steps that were made, as a share of those of all runs to their end.
        compute_limit: upper bound of `compute` at the end. Below 1 under `halving` and `hyperband`, in which the number
            of settings that continue is known beforehand; diverged runs can only make it less.
        trials_failed: number of runs in which the task raised an error, or whose worker was lost.
        workers_lost: number of workers elsewhere that were lost; what they were doing is done again.

    Example:
        >>> def show(progress):
        ...     print(f"{progress.phase}: {progress.settings_alive} of {progress.settings} settings are alive")
    """

    phase: str
    programs: int
    programs_ready: int
    trials: int
    trials_done: int
    trials_diverged: int
    trials_ran: int
    share: float
    share_ran: float
    seconds: float
    best: dict[str, Any] | None
    settings: int = 0
    settings_alive: int = 0
    rungs: int = 1
    step: int = 0
    compute: float = 0.0
    compute_limit: float = 1.0
    trials_failed: int = 0
    workers_lost: int = 0


class Tally:
    """Counts what is done and reports it."""

    def __init__(
        self,
        planned: Plan,
        ledger: Ledger,
        tell: Callable[[Progress], None],
        workers_lost: Callable[[], int] = lambda: 0,
    ) -> None:
        self._plan, self._tell, self._ledger, self._workers_lost = planned, tell, ledger, workers_lost
        self._rows: dict[int, tuple[int, int, str]] = {}  # trial, batch and status of each run, not all of it
        self._full = planned.runs * planned.steps
        self._expected = self._full * planned.share
        known = isinstance(planned.stop, Halving | Hyperband)
        self._limit = planned.share if known else 1.0
        self._rungs = planned.stop.rungs(planned.steps)
        self._steps = self._steps_before = 0
        self._diverged_early = 0  # steps that diverged runs did not make
        self._best: tuple[int, float, int] | None = None  # step, score turned so that large is good, row
        scores = ledger.scores_by_step(planned.task.objective)
        for row in ledger.rows():
            self._steps += row.step
            for step, score in scores.get(row.id, {}).items():
                self._consider(row.id, step, score)
        self._steps_before = self._steps
        self._begun = time.perf_counter()
        self._read()
        self._before = len(self.finished)
        self._again: set[int] = set()  # finished runs that are being made again for their final states
        self._alive, self._step = planned.most, self._rungs[0]
        if self._before < max(len(self._rows), planned.runs):  # else nothing may be left, which is not known yet
            self._say()

    @property
    def ran(self) -> int:
        """Number of runs that ended since this call began."""
        return len(self.finished) - self._before

    @property
    def steps_ran(self) -> int:
        """Number of steps that were made since this call began, summed over runs."""
        return self._steps - self._steps_before

    def begin(self, runs: Sequence[tuple[Row, int]]) -> None:
        """Report a new round, which may have added and pruned some runs.

        Args:
            runs: the runs of the round, and the steps to which they are brought.
        """
        self._read()
        self._again = {row.id for row, _ in runs} & self.finished
        self._step = max(step for _, step in runs)
        if self._plan.stop.stops:
            begun = {trial for trial, *_ in self._rows.values()}
            stopped = begun - self._done() - {row.trial for row, _ in runs}
            self._alive = self._plan.most - len(stopped)
        self._say()

    def _read(self) -> None:
        self._rows = {row.id: (row.trial, row.batch, row.status) for row in self._ledger.rows()}
        self.finished = {id for id, (*_, status) in self._rows.items() if status in FINAL}
        statuses = [status for *_, status in self._rows.values()]
        self._diverged, self._failed = statuses.count("diverged"), statuses.count("failed")

    def _done(self) -> set[int]:
        """The trials that are done with all seeds."""
        rows = self._rows.values()
        return {trial for trial, *_ in rows} - {t for t, batch, s in rows if s != "done" and batch != CONFIRM}

    def __call__(self, outcomes: list[Outcome], steps: int) -> None:
        """Count a segment.

        Args:
            outcomes: what it did.
            steps: steps that it made, summed over runs.
        """
        self._steps += steps
        for outcome in outcomes:
            if outcome.status in LOSSES:
                self._diverged += outcome.status == "diverged"
                self._failed += outcome.status == "failed"
                self._diverged_early += self._plan.steps - outcome.step
            if outcome.status != "running":
                self.finished.add(outcome.id)
                self._again.discard(outcome.id)
            if outcome.status not in LOSSES and self._plan.task.objective in outcome.scores:
                self._consider(outcome.id, outcome.step, outcome.scores[self._plan.task.objective])
        self._say()

    def end(self) -> None:
        """Report that nothing is left to run."""
        self._read()
        self._again = set()
        self._step = self._plan.steps
        if self._plan.stop.stops:
            self._alive = len(self._done())
        self._say(finished=True)

    def _consider(self, row: int, step: int, score: float) -> None:
        better = score if self._plan.task.mode == "max" else -score
        if np.isfinite(score) and (self._best is None or (step, better) > self._best[:2]):
            self._best = (step, better, row)

    def _say(self, finished: bool = False) -> None:
        best = None
        if self._best is not None:
            step, better, number = self._best
            score = better if self._plan.task.mode == "max" else -better
            row = self._ledger.row(number)
            best = {**row.columns, "seed": row.seed, "step": step, self._plan.task.objective: score}
        # diverged runs may leave fewer steps to make, further batches more: the share is an estimate until the end
        made = self._steps + self._diverged_early * self._plan.share
        self._tell(
            Progress(
                phase="run",
                programs=len(self._plan.used),
                programs_ready=len(self._plan.used),
                trials=max(len(self._rows), self._plan.runs),
                trials_done=len(self.finished - self._again),
                trials_diverged=self._diverged,
                trials_ran=self.ran,
                share=1.0 if finished else min(1.0, made / self._expected),
                share_ran=min(1.0, self.steps_ran / self._expected),
                seconds=time.perf_counter() - self._begun,
                best=best,
                settings=self._plan.most,
                settings_alive=self._alive,
                rungs=len(self._rungs),
                step=self._step,
                compute=self._steps / self._full,
                compute_limit=max(self._limit, self._steps / self._full),  # a sweep that grew may have made more
                trials_failed=self._failed,
                workers_lost=self._workers_lost(),
            )
        )
