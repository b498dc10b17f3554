"""Population-based training."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps.spaces._space import Choice
from jaxopt_lite.sweeps.spaces._trials import Picks, places
from jaxopt_lite.sweeps.strategies._history import Adoption, History, Order, Stop


class _Fields(NamedTuple):
    size: int
    every: int
    quantile: float
    resample: float
    factors: tuple[float, float]


class Population(_Fields, Stop):
    """Population-based training; made by `population`."""

    __slots__ = ()
    stops = False

    def rungs(self, steps: int) -> tuple[int, ...]:
        """The steps of the generations, and the last step."""
        if self.every >= steps:
            raise ValueError(f"{self!r} has no generation in a run of {steps} steps: give every below {steps}")
        return (*range(self.every, steps, self.every), steps)

    def orders(self, history: History, trials: Sequence[int]) -> list[Order]:
        """The members that have not reached the next generation."""
        return history.missing(trials, history.seeds, self._next(history, trials))

    def adoptions(
        self, space: Any, seed: int, history: History, trials: Sequence[int], point: Callable[[int], Picks]
    ) -> list[Adoption]:
        """The worst members, and all that diverged, take over the state of one of the best and other numbers."""
        step, member_seed = self._next(history, trials), history.seeds[0]
        costs = {trial: history.mean_cost(trial, history.seeds, step) for trial in trials}
        ranked = sorted((trial for trial in trials if math.isfinite(costs[trial])), key=lambda t: (costs[t], t))
        if step == history.steps or not ranked:
            return []
        count = max(1, round(self.quantile * self.size))
        best = ranked[:count]
        worst = {*ranked[-count:], *(t for t in trials if t not in ranked)} - set(best)
        rng = np.random.default_rng([seed, step])
        leaves = {place.path: place.leaf for place in places(space)}
        out = []
        for trial in trials:
            source = best[rng.integers(len(best))]
            if trial in worst and costs[source] < costs[trial]:
                out.append(Adoption(trial, member_seed, source, self._explored(point(source), leaves, rng)))
            else:
                out.append(Adoption(trial, member_seed, trial, point(trial)))
        return out

    def _next(self, history: History, trials: Iterable[int]) -> int:
        """The step to which the members are brought now."""
        runs = [
            history.runs[trial, seed] for trial in trials for seed in history.seeds if (trial, seed) in history.runs
        ]
        passed = max((run.generations for run in runs), default=0)
        return min((passed + 1) * self.every, history.steps)

    def _explored(self, picks: Picks, leaves: dict[Any, Any], rng: np.random.Generator) -> Picks:
        """The point with each number drawn anew or multiplied by a factor; alternatives stay, as the state has them."""
        out: Picks = {}
        for path, pick in picks.items():
            anew, u, up = rng.random() < self.resample, rng.random(), rng.integers(2)
            leaf = leaves[path]
            if not isinstance(leaf, Choice):
                pick = leaf.quantile(u) if anew else leaf.moved(pick, self.factors[up])
            out[path] = pick
        return out

    def __repr__(self) -> str:
        return (
            f"population(size={self.size}, every={self.every}, quantile={self.quantile:g}, "
            f"resample={self.resample:g}, factors=({self.factors[0]:g}, {self.factors[1]:g}))"
        )


def population(
    size: int, every: int, quantile: float = 0.25, resample: float = 0.25, factors: tuple[float, float] = (0.8, 1.2)
) -> Population:
    """Population-based training: members train side by side, and the worst continue from copies of the best.

    All members train for `every` steps and are scored: a generation. Then each of the worst, and each that diverged,
    takes over the whole state of one of the best, drawn at random, with other numbers: each number of the space is
    drawn anew or multiplied by a factor, within its bounds. Numbers inside the state, such as an optimizer's learning
    rate, change too. Alternatives (`choice`) are inherited, since the state has their structure. The settings in the
    table are those at the end; `Results.generations` has all of them.

    The states of optimizers of this package know which of their numbers are settings. A number that a task's own
    `init` copies into its carry in another way stays that of the copied state.

    Args:
        size: number of members, at least 2.
        every: steps between generations, at least 1 and fewer than the steps of a run.
        quantile: share of the members that are copied, and share of those that are replaced, above 0 and at most 1/2.
            Default: 1/4.
        resample: probability from 0 to 1 that a number is drawn anew. Default: 1/4.
        factors: a factor below 1 and one above 1, each of which is taken half the time. Listed numbers (`values`) move
            to the next smaller or larger one. Default: (0.8, 1.2).

    Returns:
        The search, for `run(..., search=...)`. A population has one seed.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> population(8, every=50, quantile=0.5).rungs(200)
        (50, 100, 150, 200)

    Reference:
        Jaderberg et al. (2017), Population based training of neural networks.
    """
    for name, whole, least in (("size", size, 2), ("every", every, 1)):
        if isinstance(whole, bool) or not isinstance(whole, int | np.integer) or whole < least:
            raise ValueError(f"population needs {name} to be a whole number of at least {least}, got {whole!r}")
    for name, value, most in (("quantile", quantile, 0.5), ("resample", resample, 1.0)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise ValueError(f"population needs {name} between 0 and {most:g}, got {value!r}")
    if not quantile > 0:
        raise ValueError("population needs quantile above 0: with 0 no member is ever copied")
    pair = tuple(factors) if isinstance(factors, Iterable) else ()
    if len(pair) != 2 or not all(isinstance(x, int | float) for x in pair) or not 0 < pair[0] < 1 < pair[1] < math.inf:
        raise ValueError(f"population needs factors (below 1, above 1), such as (0.8, 1.2); got {factors!r}")
    return Population(int(size), int(every), float(quantile), float(resample), (float(pair[0]), float(pair[1])))
