"""How far a sweep is."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps._ledger import FINAL, Ledger, Outcome
from jaxopt_lite.sweeps._plan import Plan


class Progress(NamedTuple):
    """How far a sweep is; told while programs compile and after every segment.

    `best` is the best finished run so far, as its columns with seed and score.
    """

    phase: str  # "compile" or "run"
    programs: int
    programs_ready: int
    trials: int
    trials_done: int
    trials_diverged: int
    trials_ran: int  # of those done, since this call
    share: float  # of all steps
    share_ran: float  # since this call
    seconds: float  # since this phase began
    best: dict[str, Any] | None


class Tally:
    """Counts what is done and tells it."""

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
        """Trials that came to their end since."""
        return len(self.finished) - self._before

    @property
    def seconds(self) -> float:
        """Since the first segment began."""
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
        whole = total * self._plan.steps
        share, ran = self._steps / whole, (self._steps - self._steps_before) / whole
        ready = len(self._plan.groups)
        self._tell(
            Progress(
                "run", ready, ready, total, len(self.finished), self._diverged, self.ran, share, ran, self.seconds, best
            )
        )
