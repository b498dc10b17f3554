"""Schedules given by their values at some steps: constant between them, or interpolated."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._types import Number
from jaxopt_lite.optimizers.schedules._schedule import half_cosine, numbers, schedule, time

SHAPES = {"linear": lambda share: share, "cosine": lambda share: 1 - half_cosine(share, 1.0)}
Shape: TypeAlias = Literal["linear", "cosine"]


@schedule("piecewise_constant_schedule")
class PiecewiseConstant(NamedTuple):
    """The schedule that `piecewise_constant_schedule` makes."""

    init_value: Any
    boundaries: tuple[Any, ...]
    scales: tuple[Any, ...]

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        t, value = time(count), self.init_value
        for boundary, scale in zip(self.boundaries, self.scales, strict=True):
            value = jnp.where(t >= boundary, value * scale, value)
        return value

    def _arguments(self) -> dict[str, Any]:
        return {
            "init_value": self.init_value,
            "boundaries_and_scales": dict(zip(self.boundaries, self.scales, strict=True)),
        }


def piecewise_constant_schedule(
    init_value: Number, boundaries_and_scales: Mapping[int, Number] | None = None
) -> PiecewiseConstant:
    """A value that is multiplied by a factor at each of some steps.

    Args:
        init_value: the first value.
        boundaries_and_scales: the factors ≥ 0 by step, `{step: factor}`; `None` for none. Each acts from its step on.

    Returns:
        A schedule whose leaves are the first value, the steps and the factors.

    Raises:
        ValueError: if a factor is negative or a Python number is NaN.
        TypeError: if a number is a boolean or a string.

    Example:
        >>> round(float(piecewise_constant_schedule(1.0, {100: 0.1, 200: 0.1})(150)), 3)
        0.1
    """
    return PiecewiseConstant(**_pieces("piecewise_constant_schedule", init_value, boundaries_and_scales))


@schedule("piecewise_interpolate_schedule", "interpolate_type")
class PiecewiseInterpolate(NamedTuple):
    """The schedule that `piecewise_interpolate_schedule` makes."""

    interpolate_type: Shape
    init_value: Any
    boundaries: tuple[Any, ...]
    scales: tuple[Any, ...]

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        return interpolated(self.interpolate_type, self.init_value, self.boundaries, self.scales, time(count))

    def _arguments(self) -> dict[str, Any]:
        pieces = dict(zip(self.boundaries, self.scales, strict=True))
        return {
            "interpolate_type": self.interpolate_type,
            "init_value": self.init_value,
            "boundaries_and_scales": pieces,
        }


def piecewise_interpolate_schedule(
    interpolate_type: Shape, init_value: Number, boundaries_and_scales: Mapping[int, Number] | None = None
) -> PiecewiseInterpolate:
    """A value that moves, by each of some steps, to its multiple by a factor.

    Args:
        interpolate_type: the way between two steps: "linear" for a line, "cosine" for half a cosine. Static.
        init_value: the first value.
        boundaries_and_scales: the factors ≥ 0 by step, `{step: factor}`; `None` for none. At each step the value has
            reached that of the step before times the factor.

    Returns:
        A schedule whose leaves are the first value, the steps and the factors.

    Raises:
        ValueError: if `interpolate_type` is another one, a factor is negative or a Python number is NaN.
        TypeError: if a number is a boolean or a string.

    Example:
        >>> round(float(piecewise_interpolate_schedule("linear", 1.0, {10: 0.1})(5)), 3)
        0.55
    """
    if interpolate_type not in SHAPES:
        wrong = f"interpolate_type={interpolate_type!r}"
        raise ValueError(f"piecewise_interpolate_schedule: {wrong}: give 'linear' or 'cosine'")
    given = _pieces("piecewise_interpolate_schedule", init_value, boundaries_and_scales)
    return PiecewiseInterpolate(interpolate_type=interpolate_type, **given)


def _pieces(where: str, init_value: Number, boundaries_and_scales: Mapping[int, Number] | None) -> dict[str, Any]:
    pairs = sorted((boundaries_and_scales or {}).items())
    for _, scale in pairs:
        if isinstance(scale, int | float) and scale < 0:
            raise ValueError(f"{where}: the scale {scale:g} is negative: the value would change its sign")
    bounds = numbers(where, **{f"boundaries[{i}]": b for i, (b, _) in enumerate(pairs)})
    scales = numbers(where, **{f"scales[{i}]": s for i, (_, s) in enumerate(pairs)})
    first = numbers(where, init_value=init_value)
    return first | {"boundaries": tuple(bounds.values()), "scales": tuple(scales.values())}


def interpolated(shape: Shape, first: Any, bounds: tuple[Any, ...], scales: tuple[Any, ...], t: jax.Array) -> Any:
    """The value at time `t` of a schedule that moves to a multiple of its value by each boundary.

    Args:
        shape: the way between two boundaries.
        first: the value at time 0.
        bounds: the times of the boundaries, ascending.
        scales: the factor between the values at each boundary and at the one before.
        t: a floating scalar.

    Returns:
        A floating scalar.
    """
    value, start, low = first, first, jnp.zeros_like(t)
    for high, scale in zip(bounds, scales, strict=True):
        end = start * scale
        share = jnp.clip((t - low) / jnp.maximum(high - low, 1.0), 0.0, 1.0)
        value = jnp.where(t >= low, start + (end - start) * SHAPES[shape](share), value)
        value = jnp.where(t >= high, end, value)
        start, low = end, high
    return value
