"""The state of a sweep while it runs."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps._ledger import FINAL, Ledger, Outcome
from jaxopt_lite.sweeps._plan import Plan


class Progress(NamedTuple):
    """The state of a sweep, given to `progress` while programs compile and after every segment.

    Attributes:
        phase: `"compile"` or `"run"`.
        programs: number of programs to compile, on all devices.
        programs_ready: number of them that are compiled.
        trials: number of runs.
        trials_done: number of runs that are done or diverged.
        trials_diverged: number of runs that diverged.
        trials_ran: number of runs that ended since this call began.
        share: share of all steps that are made, from 0 to 1; the steps a diverged run would have made count as made.
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
        self._plan, self._tell = planned, tell
        rows, scores = ledger.rows(), ledger.scores()
        self._rows = {row.id: row for row in rows}
        self.finished = {row.id for row in rows if row.status in FINAL}
        self._before = len(self.finished)
        self._diverged = sum(row.status == "diverged" for row in rows)
        self._steps = self._steps_before = sum(planned.steps if row.id in self.finished else row.step for row in rows)
        self._best: tuple[float, int] | None = None
        for row in rows:
            self._consider(row.id, scores.get(row.id, {}))
        self._begun = time.perf_counter()
        self._say()

    @property
    def ran(self) -> int:
        """Number of runs that ended since this call began."""
        return len(self.finished) - self._before

    @property
    def seconds(self) -> float:
        """Seconds since the first segment began."""
        return time.perf_counter() - self._begun

    def __call__(self, outcomes: list[Outcome], steps: int) -> None:
        self._steps += steps
        for outcome in outcomes:
            if outcome.status == "diverged":
                self._diverged += 1
                self._steps += self._plan.steps - outcome.step
            if outcome.status != "running":
                self.finished.add(outcome.id)
                self._consider(outcome.id, outcome.scores)
        self._say()

    def _consider(self, row: int, scores: dict[str, float]) -> None:
        score = scores.get(self._plan.task.objective)
        if score is None or not np.isfinite(score):
            return
        better = score if self._plan.task.mode == "max" else -score
        if self._best is None or better > self._best[0]:
            self._best = (better, row)

    def _say(self) -> None:
        total, best = self._plan.runs, None
        if self._best is not None:
            row = self._rows[self._best[1]]
            score = self._best[0] if self._plan.task.mode == "max" else -self._best[0]
            best = {**row.columns, "seed": row.seed, self._plan.task.objective: score}
        all_steps = total * self._plan.steps
        share, ran = self._steps / all_steps, (self._steps - self._steps_before) / all_steps
        ready = len(self._plan.groups)
        self._tell(
            Progress(
                "run", ready, ready, total, len(self.finished), self._diverged, self.ran, share, ran, self.seconds, best
            )
        )
