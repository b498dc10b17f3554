"""Schedules one after another."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxopt_lite.optimizers._types import Number, Schedule
from jaxopt_lite.optimizers.schedules._schedule import as_schedule, check_ascending, numbers, schedule, time
from jaxopt_lite.optimizers.schedules._warmups import warmup_cosine_decay_schedule


@schedule("join_schedules")
class Joined(NamedTuple):
    """The schedule that `join_schedules` makes."""

    schedules: tuple[Any, ...]
    boundaries: tuple[Any, ...]

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        t, value = time(count), self.schedules[0](count)
        for boundary, following in zip(self.boundaries, self.schedules[1:], strict=True):
            value = jnp.where(t < boundary, value, following(t - boundary))
        return value


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[Number]) -> Joined:
    """Schedules one after another, each counting from its own beginning.

    Args:
        schedules: the schedules in their order. A plain function among them is static.
        boundaries: the steps at which the next schedule begins, ascending; one fewer than schedules.

    Returns:
        A schedule whose leaves are the boundaries and the numbers of the schedules.

    Raises:
        ValueError: if the numbers of schedules and boundaries do not match, or the boundaries do not ascend.
        TypeError: if one of `schedules` is not callable.

    Example:
        >>> float(join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, 10)], [100])(105))
        0.5
    """
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"join_schedules was given {len(schedules)} schedules and {len(boundaries)} boundaries: "
            "give one boundary between each two schedules"
        )
    bounds = numbers("join_schedules", **{f"boundaries[{i}]": b for i, b in enumerate(boundaries)})
    check_ascending("join_schedules", **bounds)
    inner = tuple(as_schedule("join_schedules", s) for s in schedules)
    return Joined(schedules=inner, boundaries=tuple(bounds.values()))


def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Joined:
    """Warm restarts: warm-up and cosine decay several times, one after another.

    Args:
        cosine_kwargs: for each round the keyword arguments of `warmup_cosine_decay_schedule`; a round lasts for its
            `decay_steps`.

    Returns:
        A schedule whose leaves are the numbers of the rounds and the steps at which they begin.

    Raises:
        ValueError: if `cosine_kwargs` is empty or a number in it is out of its range.
        TypeError: if a keyword is not one of `warmup_cosine_decay_schedule`.

    Example:
        >>> once = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 0, "decay_steps": 10}
        >>> float(sgdr_schedule([once, once])(10))
        1.0

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    if not cosine_kwargs:
        raise ValueError("sgdr_schedule was given no rounds: give the arguments of at least one")
    rounds = [warmup_cosine_decay_schedule(**kwargs) for kwargs in cosine_kwargs]
    ends = list(itertools.accumulate(one.decay_steps for one in rounds[:-1]))
    return join_schedules(rounds, ends)
