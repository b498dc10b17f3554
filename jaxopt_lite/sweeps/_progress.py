"""The state of a sweep while it runs."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps._database import Row
from jaxopt_lite.sweeps._ledger import FINAL, Ledger, Outcome
from jaxopt_lite.sweeps._plan import Plan


class Progress(NamedTuple):
    """The state of a sweep, given to `progress` while programs compile and after every segment.

    Attributes:
        phase: `"compile"` or `"run"`.
        programs: number of programs to compile, on all devices.
        programs_ready: number of them that are compiled.
        trials: number of runs.
        trials_done: number of runs that are done, diverged or pruned.
        trials_diverged: number of runs that diverged.
        trials_ran: number of runs that ended since this call began.
        share: share of the expected steps that are made, from 0 to 1; those of diverged runs count as made.
        share_ran: share of all steps that were made since this call began.
        seconds: since the phase began.
        best: the settings, seed and objective of the best finished run, by name; None before there is one.

    Example:
        >>> def show(progress):
        ...     print(f"{progress.phase}: {progress.trials_done} of {progress.trials} runs")
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


class Tally:
    """Counts what is done and reports it."""

    def __init__(self, planned: Plan, ledger: Ledger, tell: Callable[[Progress], None]) -> None:
        self._plan, self._tell, self._ledger = planned, tell, ledger
        self._rows: dict[int, Row] = {}
        self._expected = planned.runs * planned.steps * planned.share
        self._steps = self._steps_before = 0
        self._diverged_early = 0  # steps that diverged runs did not make
        self._best: tuple[float, int] | None = None
        scores = ledger.scores(planned.steps)
        for row in ledger.rows():
            self._steps += row.step
            self._consider(row.id, scores.get(row.id, {}))
        self._steps_before = self._steps
        self._begun = time.perf_counter()
        self.begin()
        self._before = len(self.finished)
        self._say()

    @property
    def ran(self) -> int:
        """Number of runs that ended since this call began."""
        return len(self.finished) - self._before

    @property
    def steps_ran(self) -> int:
        """Number of steps that were made since this call began, summed over runs."""
        return self._steps - self._steps_before

    def begin(self) -> None:
        """Read the runs again: a new round may have added and pruned some."""
        self._rows = {row.id: row for row in self._ledger.rows()}
        self.finished = {row.id for row in self._rows.values() if row.status in FINAL}
        self._diverged = sum(row.status == "diverged" for row in self._rows.values())

    def __call__(self, outcomes: list[Outcome], steps: int) -> None:
        """Count a segment.

        Args:
            outcomes: what it did.
            steps: steps that it made, summed over runs.
        """
        self._steps += steps
        for outcome in outcomes:
            if outcome.status == "diverged":
                self._diverged += 1
                self._diverged_early += self._plan.steps - outcome.step
            if outcome.status != "running":
                self.finished.add(outcome.id)
                if outcome.status == "done":
                    self._consider(outcome.id, outcome.scores)
        self._say()

    def end(self) -> None:
        """Report that nothing is left to run."""
        self.begin()
        self._say(finished=True)

    def _consider(self, row: int, scores: dict[str, float]) -> None:
        score = scores.get(self._plan.task.objective)
        if score is None or not np.isfinite(score):
            return
        better = score if self._plan.task.mode == "max" else -score
        if self._best is None or better > self._best[0]:
            self._best = (better, row)

    def _say(self, finished: bool = False) -> None:
        best = None
        if self._best is not None:
            row = self._rows[self._best[1]]
            score = self._best[0] if self._plan.task.mode == "max" else -self._best[0]
            best = {**row.columns, "seed": row.seed, self._plan.task.objective: score}
        # diverged runs may leave fewer steps to make, further batches more: the share is an estimate until the end
        made = self._steps + self._diverged_early * self._plan.share
        self._tell(
            Progress(
                phase="run",
                programs=len(self._plan.used),
                programs_ready=len(self._plan.used),
                trials=max(len(self._rows), self._plan.runs),
                trials_done=len(self.finished),
                trials_diverged=self._diverged,
                trials_ran=self.ran,
                share=1.0 if finished else min(1.0, made / self._expected),
                share_ran=min(1.0, self.steps_ran / self._expected),
                seconds=time.perf_counter() - self._begun,
                best=best,
            )
        )
