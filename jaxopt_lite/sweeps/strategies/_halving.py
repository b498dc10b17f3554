"""Successive halving and Hyperband."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxopt_lite.sweeps.strategies._history import History, Order, Stop, checked_steps, share


class _Fields(NamedTuple):
    eta: float
    first: float
    race: bool


class _Geometric(_Fields, Stop):
    """A rule whose rungs grow by the factor `eta`."""

    __slots__ = ()

    def rungs(self, steps: int) -> tuple[int, ...]:
        """The steps of the rungs, of all brackets if there are several."""
        checked_steps(repr(self), self.first, steps)
        return rungs_of(steps, self.first, self.eta)

    def __repr__(self) -> str:
        return f"{type(self).__name__.lower()}(eta={self.eta:g}, first={self.first:.4g}, race={self.race})"


class Halving(_Geometric):
    """Successive halving; made by `halving`."""

    __slots__ = ()

    def orders(self, history: History, trials: Sequence[int]) -> list[Order]:
        """The runs of the lowest rung that is not complete; after the last rung, the other seeds of its survivors."""
        return climb(history, trials, self.rungs(history.steps), self.eta, self.race)


class Hyperband(_Geometric):
    """Successive halving with several first rungs; made by `hyperband`."""

    __slots__ = ()

    def orders(self, history: History, trials: Sequence[int]) -> list[Order]:
        """The orders of all brackets, which do not wait for each other; with racing, then the best trials' seeds."""
        rungs = self.rungs(history.steps)
        brackets = [rungs[nth:] for nth in range(len(rungs))]
        members = divided(trials, brackets, self.eta)
        orders, winners = [], []
        seeds = history.seeds[:1] if self.race else history.seeds
        for in_bracket, bracket in zip(members, brackets, strict=True):
            found, best = rung_orders(history, in_bracket, bracket, self.eta, seeds)
            orders += found
            winners += best
        return orders or (raced(history, winners, self.eta) if self.race else [])


def halving(eta: float = 3, first: float = 1 / 9, race: bool = False) -> Stop:
    """Successive halving: train all trials a little, the best of them longer, and so on.

    At a share `first` of a run's steps, at `eta` times that, and so on, trials are compared by the task's objective.
    One in `eta` of them (rounded up) continues; the others get the status `pruned`. Trials are compared when all of a
    batch have reached the rung, so decisions do not depend on the order in which runs end.

    Args:
        eta: of how many trials one continues, above 1. Default: 3.
        first: the first rung as a share of a run's steps, above 0 and below 1. Default: 1/9.
        race: whether the rungs are run with the first seed alone. Then one in `eta` of the trials that have reached
            the last step are trained with the other seeds too. Default: False.

    Returns:
        The rule, for `run(..., stop=...)`.

    Raises:
        ValueError: `eta` or `first` is out of range.

    Example:
        >>> halving(eta=3, first=1/9, race=True).rungs(500)
        (56, 167, 500)

    Reference:
        Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization.
    """
    return Halving(_eta("halving", eta), share("halving", "first", first), bool(race))


def hyperband(eta: float = 3, first: float = 1 / 27, race: bool = False) -> Stop:
    """Successive halving in several brackets, whose first rungs are `first`, `eta` times `first`, ... of a run.

    The brackets share the trials so that each gets about the same number of steps. The last bracket trains its trials
    to the end. So a trial that learns late has a chance, at the price of more compute than `halving`.

    Args:
        eta: of how many trials one continues at a rung, above 1. Default: 3.
        first: the lowest first rung as a share of a run's steps, above 0 and below 1. Default: 1/27.
        race: whether the brackets are run with the first seed alone. Then one in `eta` of the trials that have reached
            the last step are trained with the other seeds too. Default: False.

    Returns:
        The rule, for `run(..., stop=...)`.

    Raises:
        ValueError: `eta` or `first` is out of range.

    Example:
        >>> hyperband(eta=3, first=1/9).rungs(900)
        (100, 300, 900)

    Reference:
        Li et al. (2018), Hyperband: a novel bandit-based approach to hyperparameter optimization.
    """
    return Hyperband(_eta("hyperband", eta), share("hyperband", "first", first), bool(race))


def rungs_of(steps: int, first: float, eta: float) -> tuple[int, ...]:
    """The shares first, first·eta, first·eta², ... of a run as steps, and `steps`.

    A rung so close to the end that less than a factor √eta is left is omitted.
    """
    out, share = [], first
    while share * math.sqrt(eta) <= 1:
        out.append(max(1, round(share * steps)))
        share *= eta
    below = dict.fromkeys(step for step in out if step < steps)
    return (*below, steps)


def climb(history: History, trials: Sequence[int], rungs: Sequence[int], eta: float, race: bool) -> list[Order]:
    """The orders of one bracket, racing included."""
    seeds = history.seeds[:1] if race else history.seeds
    orders, best = rung_orders(history, trials, rungs, eta, seeds)
    return orders or (raced(history, best, eta) if race else [])


def rung_orders(
    history: History, trials: Sequence[int], rungs: Sequence[int], eta: float, seeds: Sequence[int]
) -> tuple[list[Order], list[int]]:
    """The runs of the lowest rung that is not complete, or none and the trials that have reached the last step."""
    alive = list(trials)
    for rung in rungs:
        orders = history.missing(alive, seeds, rung)
        if orders:
            return orders, []
        alive = [trial for trial in alive if math.isfinite(history.mean_cost(trial, seeds, rung))]
        if rung != rungs[-1]:
            alive = ranked(history, alive, seeds, rung)[: math.ceil(len(trials) / eta ** (list(rungs).index(rung) + 1))]
    return [], alive


def raced(history: History, trials: Sequence[int], eta: float) -> list[Order]:
    """The other seeds of one in `eta` of the trials that have reached the last step with the first seed."""
    best = ranked(history, trials, history.seeds[:1], history.steps)[: math.ceil(len(trials) / eta)]
    return history.missing(best, history.seeds, history.steps)


def ranked(history: History, trials: Sequence[int], seeds: Sequence[int], step: int) -> list[int]:
    """The trials by mean cost at a step, the best first; of equals, the earlier trial first."""
    return sorted(trials, key=lambda trial: (history.mean_cost(trial, seeds, step), trial))


def divided(trials: Sequence[int], brackets: Sequence[Sequence[int]], eta: float) -> list[list[int]]:
    """The trials of each bracket: as many as gives every bracket about the same number of steps.

    Trials are dealt out one after the other, each to the bracket that lacks most, so that more trials leave the
    brackets of the earlier ones as they are.
    """
    costs = [cost_of_one(bracket, eta) for bracket in brackets]
    weights = [1 / cost / sum(1 / c for c in costs) for cost in costs]
    members: list[list[int]] = [[] for _ in brackets]
    for nth, trial in enumerate(trials, start=1):
        lacks = [weight * nth - len(dealt) for weight, dealt in zip(weights, members, strict=True)]
        members[lacks.index(max(lacks))].append(trial)
    return members


def cost_of_one(rungs: Sequence[int], eta: float) -> float:
    """Mean number of steps of a trial in a bracket."""
    spans = [end - begin for begin, end in zip((0, *rungs), rungs, strict=False)]
    return sum(span / eta**nth for nth, span in enumerate(spans))


def _eta(name: str, eta: float) -> float:
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not 1 < eta < math.inf:
        raise ValueError(f"{name} needs eta above 1, the number of trials of which one continues; got {eta!r}")
    return eta
