"""A setting: the runs of one trial, with seeds aggregated."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxopt_lite._names import interval_of
from jaxopt_lite.sweeps.results._compare import t_quantile


class Mean(NamedTuple):
    """A mean over seeds with its 95 % interval by Student's t distribution, mean ± half_width.

    Attributes:
        mean: the mean, in units of the score.
        half_width: half the width of the interval, in units of the score; NaN for a single seed.

    Example:
        >>> f"{Mean(0.9712, 0.0042):.3f}"
        '0.971 ± 0.004'
    """

    mean: float
    half_width: float

    def __format__(self, spec: str) -> str:
        return interval_of(self.mean, self.half_width, spec)


class Setting(NamedTuple):
    """All seeds of one trial.

    Attributes:
        columns: its settings, by the names of `Results.swept`.
        seeds: number of seeds.
        done: number of seeds with which it is done.
        diverged: number of seeds with which it diverged.
        scores: mean over the seeds, by name of the score. NaN unless all seeds are done: a mean over the others would
            be biased.
        trials: the rows of its runs in the table.
        pruned: number of seeds with which it was stopped before the last step, or not begun.
        failed: number of seeds with which the task raised an error, or its worker was lost.
        confirmed: mean over the seeds of `confirm`, by name of the score; empty without them, NaN unless all are done.
        confirming: number of seeds of `confirm`.
        step: the most steps that one of its runs has made.
        rungs: mean of the objective over the seeds that were scored at a step, by step. Steps by which a seed had
            diverged are absent.
    """

    columns: dict[str, Any]
    seeds: int
    done: int
    diverged: int
    scores: dict[str, Mean]
    trials: tuple[int, ...]
    pruned: int = 0
    failed: int = 0
    confirmed: Mapping[str, Mean] = {}
    confirming: int = 0
    step: int = 0
    rungs: Mapping[int, Mean] = {}

    @property
    def lost(self) -> int:
        """Number of seeds with which it diverged or failed."""
        return self.diverged + self.failed

    @property
    def status(self) -> str:
        """How its runs ended, as `done`, `pruned at step 56`, `1 of 3 diverged`, `3 of 3 failed` or `waiting`.

        Example:
            >>> Setting({"rate": 0.1}, 3, 2, 1, {}, (0, 1, 2)).status
            '1 of 3 diverged'
        """
        for name in ("failed", "diverged"):
            if number := getattr(self, name):
                return f"{number} of {self.seeds} {name}"
        if self.done == self.seeds:
            return "done"
        if self.pruned:
            place = f"after {self.done} of {self.seeds} seeds" if self.done else f"at step {self.step:,}"
            return f"pruned {place}"
        return f"{self.done} of {self.seeds} done" if self.done else "waiting"


def mean_of(numbers: Sequence[float]) -> Mean:
    """The mean of some scores with its interval; NaN if there are none."""
    if not numbers:
        return Mean(math.nan, math.nan)
    mean = math.fsum(numbers) / len(numbers) if all(map(math.isfinite, numbers)) else sum(numbers) / len(numbers)
    if len(numbers) < 2 or not math.isfinite(mean):
        return Mean(mean, math.nan)
    variance = math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1)
    return Mean(mean, t_quantile(len(numbers) - 1) * math.sqrt(variance / len(numbers)))
