"""Schedules in pieces: steps, interpolations, one cycle, and other schedules one after another."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers.schedules._schedule import as_schedule, half_cosine, numbers, schedule, time
from jaxopt_lite.optimizers.schedules._warmups import warmup_cosine_decay_schedule

SHAPES = {"linear": lambda share: share, "cosine": lambda share: 1 - half_cosine(share, 1.0)}


@schedule("piecewise_constant_schedule")
class PiecewiseConstant(NamedTuple):
    """A value that is multiplied by a factor at each boundary."""

    init_value: Any
    boundaries: tuple[Any, ...]
    scales: tuple[Any, ...]

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        t, value = time(count), self.init_value
        for boundary, scale in zip(self.boundaries, self.scales, strict=True):
            value = jnp.where(t >= boundary, value * scale, value)
        return value


def piecewise_constant_schedule(
    init_value: Any, boundaries_and_scales: Mapping[int, Any] | None = None
) -> PiecewiseConstant:
    """`init_value`, multiplied by each scale of `{step: scale}` from its step on.

    The first value, the steps and the scales ≥ 0 are all leaves.

    >>> round(float(piecewise_constant_schedule(1.0, {100: 0.1, 200: 0.1})(150)), 3)
    0.1
    """
    return PiecewiseConstant(**_pieces("piecewise_constant_schedule", init_value, boundaries_and_scales))


@schedule("piecewise_interpolate_schedule", "interpolate_type")
class PiecewiseInterpolate(NamedTuple):
    """A value that moves from each boundary's to the next one's."""

    interpolate_type: str
    init_value: Any
    boundaries: tuple[Any, ...]
    scales: tuple[Any, ...]

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        return _interpolated(self.interpolate_type, self.init_value, self.boundaries, self.scales, time(count))


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: Any, boundaries_and_scales: Mapping[int, Any] | None = None
) -> PiecewiseInterpolate:
    """`init_value`, moving by each step of `{step: scale}` to the value before it times its scale.

    Between two steps along a line (`interpolate_type` "linear") or half a cosine ("cosine"). Raises `ValueError` for
    another.

    >>> round(float(piecewise_interpolate_schedule("linear", 1.0, {10: 0.1})(5)), 3)
    0.55
    """
    if interpolate_type not in SHAPES:
        wrong = f"interpolate_type={interpolate_type!r}"
        raise ValueError(f"piecewise_interpolate_schedule: {wrong}: give 'linear' or 'cosine'")
    given = _pieces("piecewise_interpolate_schedule", init_value, boundaries_and_scales)
    return PiecewiseInterpolate(interpolate_type=interpolate_type, **given)


@schedule("linear_onecycle_schedule")
class LinearOnecycle(NamedTuple):
    """Up to the peak, down again, and further down: three lines."""

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
        return _interpolated("linear", self.peak_value / self.div_factor, bounds, scales, time(count))


def linear_onecycle_schedule(
    transition_steps: Any,
    peak_value: Any,
    pct_start: Any = 0.3,
    pct_final: Any = 0.85,
    div_factor: Any = 25.0,
    final_div_factor: Any = 1e4,
) -> LinearOnecycle:
    """One cycle in three lines: from `peak_value/div_factor` up, back, and down to a `final_div_factor`-th of that.

    The corners are at `pct_start` and `pct_final` of `transition_steps` > 0 (rounded down). All six are leaves.

    >>> round(float(linear_onecycle_schedule(100, 1.0)(30)), 3)
    1.0

    Source: Smith and Topin 2017.
    """
    given = numbers(
        "linear_onecycle_schedule",
        transition_steps=transition_steps,
        peak_value=peak_value,
        pct_start=pct_start,
        pct_final=pct_final,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
    return LinearOnecycle(**given)


@schedule("cosine_onecycle_schedule")
class CosineOnecycle(NamedTuple):
    """Up to the peak and down to nearly nothing: two half cosines."""

    transition_steps: Any
    peak_value: Any
    pct_start: Any
    div_factor: Any
    final_div_factor: Any

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        bounds = (jnp.floor(self.pct_start * self.transition_steps), self.transition_steps)
        scales = (self.div_factor, 1 / (self.div_factor * self.final_div_factor))
        return _interpolated("cosine", self.peak_value / self.div_factor, bounds, scales, time(count))


def cosine_onecycle_schedule(
    transition_steps: Any, peak_value: Any, pct_start: Any = 0.3, div_factor: Any = 25.0, final_div_factor: Any = 1e4
) -> CosineOnecycle:
    """One cycle in two half cosines: from `peak_value/div_factor` up to the peak, then down.

    The peak is at `pct_start` of `transition_steps` > 0 (rounded down); the end is a `final_div_factor`-th of the
    beginning.

    >>> round(float(cosine_onecycle_schedule(100, 1.0)(30)), 3)
    1.0

    Source: Smith and Topin 2017.
    """
    given = numbers(
        "cosine_onecycle_schedule",
        transition_steps=transition_steps,
        peak_value=peak_value,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
    return CosineOnecycle(**given)


@schedule("join_schedules")
class Joined(NamedTuple):
    """Schedules one after another, each counting from its own beginning."""

    schedules: tuple[Any, ...]
    boundaries: tuple[Any, ...]

    def __call__(self, count: Any) -> Any:
        """The value at `count`."""
        t, value = time(count), self.schedules[0](count)
        for boundary, following in zip(self.boundaries, self.schedules[1:], strict=True):
            value = jnp.where(t < boundary, value, following(t - boundary))
        return value


def join_schedules(schedules: Sequence[Any], boundaries: Sequence[Any]) -> Joined:
    """`schedules` one after another: from each of `boundaries` on the next one, counting from there.

    The boundaries and the schedules' numbers are leaves; a plain function among them is structure.

    Raises `ValueError` unless there is one boundary less than schedules.

    >>> float(join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, 10)], [100])(105))
    0.5
    """
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"join_schedules was given {len(schedules)} schedules and {len(boundaries)} boundaries: "
            "give one boundary between each two schedules"
        )
    bounds = numbers("join_schedules", **{f"boundaries[{i}]": b for i, b in enumerate(boundaries)})
    inner = tuple(as_schedule("join_schedules", s) for s in schedules)
    return Joined(schedules=inner, boundaries=tuple(bounds.values()))


def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Joined:
    """Warm restarts: `warmup_cosine_decay_schedule(**kwargs)` one after another, each for its own `decay_steps`.

    >>> once = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 0, "decay_steps": 10}
    >>> float(sgdr_schedule([once, once])(10))
    1.0

    Source: Loshchilov and Hutter 2017.
    """
    rounds = [warmup_cosine_decay_schedule(**kwargs) for kwargs in cosine_kwargs]
    ends, total = [], 0.0
    for one in rounds[:-1]:
        total = total + one.decay_steps
        ends.append(total)
    return join_schedules(rounds, ends)


def _pieces(where: str, init_value: Any, boundaries_and_scales: Mapping[int, Any] | None) -> dict[str, Any]:
    pairs = sorted((boundaries_and_scales or {}).items())
    wrong = [scale for _, scale in pairs if isinstance(scale, int | float) and scale < 0]
    if wrong:
        raise ValueError(f"{where}: the scale {wrong[0]:g} is negative: the value would change its sign")
    bounds = numbers(where, **{f"boundaries[{i}]": b for i, (b, _) in enumerate(pairs)})
    scales = numbers(where, **{f"scales[{i}]": s for i, (_, s) in enumerate(pairs)})
    first = numbers(where, init_value=init_value)
    return first | {"boundaries": tuple(bounds.values()), "scales": tuple(scales.values())}


def _interpolated(shape: str, first: Any, bounds: tuple[Any, ...], scales: tuple[Any, ...], t: jax.Array) -> Any:
    value, start, low = first, first, 0.0
    for high, scale in zip(bounds, scales, strict=True):
        end = start * scale
        share = jnp.clip((t - low) / jnp.maximum(high - low, 1.0), 0.0, 1.0)
        value = jnp.where(t >= low, start + (end - start) * SHAPES[shape](share), value)
        value = jnp.where(t >= high, end, value)
        start, low = end, high
    return value
