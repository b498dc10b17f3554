"""What a strategy sees of a sweep, and what it asks for."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from jaxopt_lite.sweeps.spaces._trials import Picks


class Order(NamedTuple):
    """Bring a run to a step and score it there.

    Attributes:
        trial: number of the trial.
        seed: seed of the run.
        step: the step to reach, at least 1 and at most the steps of a run.
    """

    trial: int
    seed: int
    step: int


class Adoption(NamedTuple):
    """How a run continues after a generation of a population.

    Attributes:
        trial: number of the trial.
        seed: seed of the run.
        source: number of the trial whose state it continues from, with its seed; the same trial to continue as it is.
        picks: the point of the space from now on.
    """

    trial: int
    seed: int
    source: int
    picks: Picks


class Run(NamedTuple):
    """One run so far.

    Attributes:
        diverged: whether its loss or its objective became NaN or infinite.
        step: steps made.
        scores: the objective at each step where the run was scored.
        generations: how many generations of a population it has passed.
    """

    diverged: bool
    step: int
    scores: Mapping[int, float]
    generations: int = 0


class History(NamedTuple):
    """Everything a strategy may base a decision on. It is read from the ledger, so a resumed sweep sees the same.

    Attributes:
        steps: steps of a complete run.
        seeds: the seeds of the sweep.
        minimise: whether a small objective is good.
        batches: the numbers of the trials, in the groups in which they were added to the sweep.
        runs: the runs that have begun, by trial and seed.
    """

    steps: int
    seeds: tuple[int, ...]
    minimise: bool
    batches: tuple[tuple[int, ...], ...]
    runs: Mapping[tuple[int, int], Run]

    def cost(self, trial: int, seed: int, step: int) -> float | None:
        """The objective of a run at a step, turned so that small is good; None if it is not known yet.

        A diverged run costs infinity at every step.
        """
        run = self.runs.get((trial, seed))
        if run is None:
            return None
        if run.diverged:
            return math.inf
        score = run.scores.get(step)
        return None if score is None else score if self.minimise else -score

    def mean_cost(self, trial: int, seeds: Sequence[int], step: int) -> float:
        """The mean of the costs over seeds; all of them must be known."""
        costs = [self.cost(trial, seed, step) for seed in seeds]
        return sum(math.nan if cost is None else cost for cost in costs) / len(costs)

    def missing(self, trials: Sequence[int], seeds: Sequence[int], step: int) -> list[Order]:
        """Orders for the runs of some trials and seeds whose score at a step is not known yet."""
        runs = [(trial, seed) for seed in seeds for trial in trials]
        return [Order(trial, seed, step) for trial, seed in runs if self.cost(trial, seed, step) is None]


class Stop(ABC):
    """Decides how far each trial of a batch is trained: a pure function of the history.

    `rungs` names the steps at which runs are compared, and `orders` asks for what is missing. `orders` is called when
    all that it asked for before is in the history, or after an interruption, when a part of it is.
    """

    stops: ClassVar[bool] = True
    """Whether runs may end before their last step."""

    @abstractmethod
    def rungs(self, steps: int) -> tuple[int, ...]:
        """The steps at which runs are scored, in increasing order; the last is `steps`."""

    @abstractmethod
    def orders(self, history: History, trials: Sequence[int]) -> list[Order]:
        """What must run next for a batch of trials; nothing if the batch is finished, or `adoptions` are due."""

    def adoptions(
        self, space: Any, seed: int, history: History, trials: Sequence[int], point: Callable[[int], Picks]
    ) -> list[Adoption]:
        """How each run of a batch continues, when nothing is ordered for it; nothing if the batch is finished.

        Args:
            space: the space of settings.
            seed: the seed of the sweep.
            history: what is known.
            trials: the numbers of the trials of the batch.
            point: gives the point of the space at which a trial is now.
        """
        return []


class Never(Stop):
    """Every run goes to its last step."""

    stops = False

    def rungs(self, steps: int) -> tuple[int, ...]:
        """The last step alone."""
        return (steps,)

    def orders(self, history: History, trials: Sequence[int]) -> list[Order]:
        """All runs that are not at their last step."""
        return history.missing(trials, history.seeds, history.steps)

    def __repr__(self) -> str:
        return "None"


def checked_steps(name: str, first: float, steps: int) -> int:
    """The first rung of a rule as a number of steps.

    Raises:
        ValueError: it is below one step.
    """
    rung = round(first * steps)
    if rung < 1:
        raise ValueError(
            f"{name} has its first rung at {first:g} of a run, which is below one step of {steps}: "
            f"give first of at least {1 / steps:.2g}, or more steps"
        )
    return rung


def share(name: str, argument: str, value: Any) -> float:
    """A share of a run, above 0 and below 1.

    Raises:
        ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError(f"{name} needs {argument} between 0 and 1, a share of a run's steps; got {value!r}")
    return float(value)
