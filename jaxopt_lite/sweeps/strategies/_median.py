"""The median rule."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from jaxopt_lite.sweeps.strategies._history import History, Order, Stop, checked_steps, share


class _Fields(NamedTuple):
    first: float
    every: float


class Median(_Fields, Stop):
    """The median rule; made by `median`."""

    __slots__ = ()

    def rungs(self, steps: int) -> tuple[int, ...]:
        """The steps at which trials are compared, and the last step."""
        first = checked_steps(repr(self), self.first, steps)
        spacing = self.every * steps
        between = dict.fromkeys(round(first + nth * spacing) for nth in range(math.ceil((steps - first) / spacing)))
        return (*[step for step in between if step < steps], steps)

    def orders(self, history: History, trials: Sequence[int]) -> list[Order]:
        """The runs of the lowest rung that is not complete."""
        alive = list(trials)
        best: dict[int, float] = {}
        for rung in self.rungs(history.steps):
            orders = history.missing(alive, history.seeds, rung)
            if orders:
                return orders
            for trial in alive:
                cost = history.mean_cost(trial, history.seeds, rung)
                # a mean with one infinite seed is infinite, whatever the trial's score was before
                best[trial] = cost if math.isinf(cost) else min(cost, best.get(trial, math.inf))
            middle = statistics.median(best[trial] for trial in trials) if trials else math.inf
            alive = [trial for trial in alive if math.isfinite(best[trial]) and best[trial] <= middle]
        return []

    def __repr__(self) -> str:
        return f"median(first={self.first:.4g}, every={self.every:.4g})"


def median(first: float = 1 / 4, every: float = 1 / 8) -> Stop:
    """The median rule: a trial stops when its best score so far is worse than the median of all trials'.

    The median at a step is over all trials of a batch; one that stopped before counts with its best score until then.
    So about half of the trials are trained to the end. All trials are compared at equal steps, with the mean over
    their seeds.

    Args:
        first: the first comparison as a share of a run's steps, above 0 and below 1. Default: 1/4.
        every: distance between comparisons as a share of a run's steps, above 0 and below 1. Default: 1/8.

    Returns:
        The rule, for `run(..., stop=...)`.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> median(first=1/2, every=1/4).rungs(100)
        (50, 75, 100)

    Reference:
        Golovin et al. (2017), Google Vizier: a service for black-box optimization, section 3.2.2.
    """
    return Median(share("median", "first", first), share("median", "every", every))
