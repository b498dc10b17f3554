"""Schedules of one cycle: up to a peak, then down below the first value."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxopt_lite.optimizers._types import Number
from jaxopt_lite.optimizers.schedules._piecewise import interpolated
from jaxopt_lite.optimizers.schedules._schedule import check_ascending, numbers, schedule, time


@schedule("linear_onecycle_schedule")
class LinearOnecycle(NamedTuple):
    """The schedule that `linear_onecycle_schedule` makes."""

    transition_steps: Any
    peak_value: Any
    pct_start: Any
    pct_final: Any
    div_factor: Any
    final_div_factor: Any

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        n = self.transition_steps
        bounds = (jnp.floor(self.pct_start * n), jnp.floor(self.pct_final * n), n)
        scales = (self.div_factor, 1 / self.div_factor, 1 / self.final_div_factor)
        return interpolated("linear", self.peak_value / self.div_factor, bounds, scales, time(count))


def linear_onecycle_schedule(
    transition_steps: Number,
    peak_value: Number,
    pct_start: Number = 0.3,
    pct_final: Number = 0.85,
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
) -> LinearOnecycle:
    """One cycle in three lines: up to the peak, back to the first value, and further down.

    Args:
        transition_steps: the steps of the whole cycle, > 0.
        peak_value: the largest value.
        pct_start: the share of the steps at which the peak is, in [0, 1]. The step is rounded down as optax rounds it.
        pct_final: the share of the steps at which the first value is reached again, in [`pct_start`, 1].
        div_factor: the peak divided by the first value, > 0.
        final_div_factor: the first value divided by the last one, > 0.

    Returns:
        A schedule whose leaves are the six numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> round(float(linear_onecycle_schedule(100, 1.0)(30)), 3)
        1.0

    Reference:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2017.
    """
    check_ascending("linear_onecycle_schedule", pct_start=pct_start, pct_final=pct_final)
    given = numbers(
        "linear_onecycle_schedule",
        transition_steps=transition_steps,
        peak_value=peak_value,
        pct_start=_with_corner(pct_start, transition_steps),
        pct_final=_with_corner(pct_final, transition_steps),
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
    return LinearOnecycle(**given)


@schedule("cosine_onecycle_schedule")
class CosineOnecycle(NamedTuple):
    """The schedule that `cosine_onecycle_schedule` makes."""

    transition_steps: Any
    peak_value: Any
    pct_start: Any
    div_factor: Any
    final_div_factor: Any

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        bounds = (jnp.floor(self.pct_start * self.transition_steps), self.transition_steps)
        scales = (self.div_factor, 1 / (self.div_factor * self.final_div_factor))
        return interpolated("cosine", self.peak_value / self.div_factor, bounds, scales, time(count))


def cosine_onecycle_schedule(
    transition_steps: Number,
    peak_value: Number,
    pct_start: Number = 0.3,
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
) -> CosineOnecycle:
    """One cycle in two half cosines: up to the peak, then down.

    Args:
        transition_steps: the steps of the whole cycle, > 0.
        peak_value: the largest value.
        pct_start: the share of the steps at which the peak is, in [0, 1]. The step is rounded down as optax rounds it.
        div_factor: the peak divided by the first value, > 0.
        final_div_factor: the first value divided by the last one, > 0.

    Returns:
        A schedule whose leaves are the five numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> round(float(cosine_onecycle_schedule(100, 1.0)(30)), 3)
        1.0

    Reference:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2017.
    """
    given = numbers(
        "cosine_onecycle_schedule",
        transition_steps=transition_steps,
        peak_value=peak_value,
        pct_start=_with_corner(pct_start, transition_steps),
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
    return CosineOnecycle(**given)


def _with_corner(share: Any, steps: Any) -> Any:
    """`share`, moved by a float32 digit where `floor(share·steps)` is another step in float32 than in float64.

    Optax computes the corner once in float64; here it is computed from the leaves at each step, in float32.
    """
    if not (isinstance(share, int | float) and isinstance(steps, int | float) and 0 < steps < 2**22):
        return share
    corner, rounded = math.floor(share * steps), np.float32(share)
    for _ in range(4):
        now = math.floor(rounded * np.float32(steps))
        if now == corner:
            break
        rounded = np.nextafter(rounded, np.float32(0 if now > corner else np.inf))
    return share if rounded == np.float32(share) else float(rounded)
