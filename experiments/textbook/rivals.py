"""Optimizers as rivals: each at its best learning rate, selected with some seeds and scored with others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from experiment import Interval, interval

from jaxopt_lite import sweeps, training


class Rival(NamedTuple):
    """An optimizer at its best learning rate.

    Attributes:
        rate: the learning rate.
        inside: whether it lies inside the list of rates, rather than at one of its ends.
        scores: each score by seed, none of which took part in the selection.
        curves: each metric of a step, (seeds, points), as means over `stride` steps.
        stride: steps in a point of a curve.
        by_rate: the objective in the selection by learning rate, a mean over its seeds; NaN where a run diverged.
    """

    rate: float
    inside: bool
    scores: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    stride: int
    by_rate: dict[float, float]


Make = Callable[[Any], Any]


def compete(
    task: training.Task,
    optimizers: Mapping[str, tuple[Make, Sequence[float]]],
    steps: int,
    seed: int,
    selecting: int,
    scoring: int,
    trial: Mapping[str, Any] | None = None,
    last: int | None = None,
) -> dict[str, Rival]:
    """Each optimizer at its best learning rate by the task's objective.

    Args:
        task: the training problem.
        optimizers: by name, what makes the optimizer of a learning rate, and the rates.
        steps: steps of a training.
        seed: all seeds are made from it.
        selecting: seeds with which the rates are selected.
        scoring: further seeds, with which the selected rates are run again.
        trial: other entries of the trials.
        last: steps of the trainings that are scored. Default: `steps`.
    """

    def run(rates: Mapping[str, Sequence[float]], seeds: Sequence[int], steps: int) -> sweeps.Results:
        made = {name: make(sweeps.values(list(rates[name]))) for name, (make, _) in optimizers.items()}
        space = {**(trial or {}), "optimizer": sweeps.choice(made)}
        return sweeps.run(task, space, seeds=list(seeds), steps=steps, keep=0, progress=False)

    first = run({name: rates for name, (_, rates) in optimizers.items()}, seeds_of(seed, selecting), steps)
    rates = {one.columns["optimizer"]: rate_of(one) for one in first.best("optimizer")}
    fresh = seeds_of(seed, selecting + scoring)[selecting:]
    second = run({name: [rate] for name, rate in rates.items()}, fresh, last or steps)
    return {name: _rival(name, rates[name], first, second) for name in optimizers}


def _rival(name: str, rate: float, first: sweeps.Results, second: sweeps.Results) -> Rival:
    tried = {
        rate_of(one): one.scores[first.objective].mean if one.scores else np.nan
        for one in first.settings()
        if one.columns["optimizer"] == name
    }
    rows = [i for i, label in enumerate(second.columns["optimizer"]) if label == name]
    curves = {metric: np.array([second.curves[i][metric] for i in rows]) for metric in second.curves[rows[0]]}
    return Rival(
        rate=rate,
        inside=min(tried) < rate < max(tried),
        scores={score: np.array([second.columns[score][i] for i in rows]) for score in second.score_names()},
        curves=curves,
        stride=second.facts["stride"],
        by_rate=dict(sorted(tried.items())),
    )


def rate_of(setting: sweeps.Setting) -> float:
    """The learning rate of a setting; of a schedule its highest value."""
    return max(v for name, v in setting.columns.items() if name.startswith("learning_rate") and v is not None)


def seeds_of(seed: int, count: int) -> list[int]:
    """Seeds of that many runs, which differ for different `seed`."""
    return [1000 * seed + i for i in range(count)]


def ratio(a: np.ndarray, b: np.ndarray) -> Interval:
    """The geometric mean over seeds of a / b, paired by seed, with its 95 % interval."""
    logs = interval(np.log(a / b))
    return Interval(*(float(np.exp(part)) for part in logs))


def within(number: Interval, low: float, high: float) -> bool:
    """Whether a measured number lies between two bounds."""
    return low <= number.value <= high
