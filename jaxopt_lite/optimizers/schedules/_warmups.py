"""Schedules that begin with a warm-up: a line up to the peak, then another schedule."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers.schedules._decays import ExponentialDecay, exponential_decay
from jaxopt_lite.optimizers.schedules._schedule import half_cosine, numbers, schedule, share_done, time


def _rising(first: Any, peak: Any, steps: Any, count: Any) -> jax.Array:
    return first + (peak - first) * share_done(count, steps)


@schedule("warmup_cosine_decay_schedule")
class WarmupCosineDecay(NamedTuple):
    """A line up to the peak, then half a cosine down."""

    init_value: Any
    peak_value: Any
    warmup_steps: Any
    decay_steps: Any
    end_value: Any
    exponent: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        t = time(count)
        up = _rising(self.init_value, self.peak_value, self.warmup_steps, t)
        share = share_done(t - self.warmup_steps, self.decay_steps - self.warmup_steps)
        down = self.end_value + (self.peak_value - self.end_value) * half_cosine(share, self.exponent)
        return jnp.where(t < self.warmup_steps, up, down)


def warmup_cosine_decay_schedule(
    init_value: Any, peak_value: Any, warmup_steps: Any, decay_steps: Any, end_value: Any = 0.0, exponent: Any = 1.0
) -> WarmupCosineDecay:
    """Linear warm-up, then cosine decay.

    From `init_value` to `peak_value` in `warmup_steps` ≥ 0 steps, then to `end_value` in the `decay_steps −
    warmup_steps` that are left (`decay_steps` counts the warm-up too, as in optax). All six are leaves.

    Raises `ValueError` where no step is left to decay in.

    >>> round(float(warmup_cosine_decay_schedule(0.0, 1.0, 10, 110)(60)), 3)
    0.5

    Source: Loshchilov and Hutter 2017; Goyal et al. 2017 (warm-up).
    """
    if isinstance(warmup_steps, int | float) and isinstance(decay_steps, int | float) and decay_steps <= warmup_steps:
        raise ValueError(
            f"warmup_cosine_decay_schedule: decay_steps={decay_steps} counts the warm-up too and must be above "
            f"warmup_steps={warmup_steps}"
        )
    given = numbers(
        "warmup_cosine_decay_schedule",
        init_value=init_value,
        peak_value=peak_value,
        warmup_steps=warmup_steps,
        decay_steps=decay_steps,
        end_value=end_value,
        exponent=exponent,
    )
    return WarmupCosineDecay(**given)


@schedule("warmup_constant_schedule")
class WarmupConstant(NamedTuple):
    """A line up to the peak, which then stays."""

    init_value: Any
    peak_value: Any
    warmup_steps: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        return _rising(self.init_value, self.peak_value, self.warmup_steps, count)


def warmup_constant_schedule(init_value: Any, peak_value: Any, warmup_steps: Any) -> WarmupConstant:
    """From `init_value` to `peak_value` in `warmup_steps` ≥ 0 steps, then constant.

    >>> float(warmup_constant_schedule(0.0, 1.0, 10)(5))
    0.5
    """
    return WarmupConstant(
        **numbers("warmup_constant_schedule", init_value=init_value, peak_value=peak_value, warmup_steps=warmup_steps)
    )


@schedule("warmup_exponential_decay_schedule")
class WarmupExponentialDecay(NamedTuple):
    """A line up to the peak, then exponential decay from it."""

    init_value: Any
    warmup_steps: Any
    decay: ExponentialDecay

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        t = time(count)
        up = _rising(self.init_value, self.decay.init_value, self.warmup_steps, t)
        return jnp.where(t < self.warmup_steps, up, self.decay(t - self.warmup_steps))


def warmup_exponential_decay_schedule(
    init_value: Any,
    peak_value: Any,
    warmup_steps: Any,
    transition_steps: Any,
    decay_rate: Any,
    transition_begin: Any = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> WarmupExponentialDecay:
    """Linear warm-up from `init_value` to `peak_value` in `warmup_steps` ≥ 0 steps, then `exponential_decay`.

    >>> float(warmup_exponential_decay_schedule(0.0, 1.0, 10, 10, 0.5)(20))
    0.5
    """
    first = numbers("warmup_exponential_decay_schedule", init_value=init_value, warmup_steps=warmup_steps)
    decay = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return WarmupExponentialDecay(**first, decay=decay)


@schedule("warmup_stable_decay_schedule")
class WarmupStableDecay(NamedTuple):
    """A line up, a plateau, a line down."""

    init_value: Any
    peak_value: Any
    warmup_steps: Any
    stable_steps: Any
    decay_steps: Any
    end_value: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        t = time(count)
        up = _rising(self.init_value, self.peak_value, self.warmup_steps, t)
        gone = share_done(t - self.warmup_steps - self.stable_steps, self.decay_steps)
        return jnp.where(t < self.warmup_steps, up, self.peak_value + (self.end_value - self.peak_value) * gone)


def warmup_stable_decay_schedule(
    init_value: Any, peak_value: Any, warmup_steps: Any, stable_steps: Any, decay_steps: Any, end_value: Any = 0.0
) -> WarmupStableDecay:
    """Warm-up, plateau, decay: three lines, of `warmup_steps`, `stable_steps` and `decay_steps` > 0 steps.

    From `init_value` up to `peak_value`, along it, and down to `end_value`. A run can be prolonged by prolonging the
    plateau.

    >>> [round(float(warmup_stable_decay_schedule(0.0, 1.0, 10, 80, 10)(t)), 2) for t in (5, 50, 95, 200)]
    [0.5, 1.0, 0.5, 0.0]

    Source: Hu et al. 2024; Hägele et al. 2024.
    """
    given = numbers(
        "warmup_stable_decay_schedule",
        init_value=init_value,
        peak_value=peak_value,
        warmup_steps=warmup_steps,
        stable_steps=stable_steps,
        decay_steps=decay_steps,
        end_value=end_value,
    )
    return WarmupStableDecay(**given)


@schedule("inverse_sqrt_schedule")
class InverseSqrt(NamedTuple):
    """A line up to the peak, then down with the root of the time."""

    init_value: Any
    peak_value: Any
    warmup_steps: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        t, steps = time(count), jnp.maximum(self.warmup_steps, 1.0)
        up = _rising(self.init_value, self.peak_value, self.warmup_steps, t)
        return jnp.where(t < steps, up, self.peak_value * jnp.sqrt(steps / jnp.maximum(t, steps)))


def inverse_sqrt_schedule(init_value: Any, peak_value: Any, warmup_steps: Any) -> InverseSqrt:
    """Linear warm-up from `init_value` to `peak_value`, then `peak_value·√(warmup_steps/count)`: no end need be known.

    >>> float(inverse_sqrt_schedule(0.0, 1.0, 100)(400))
    0.5

    Source: Vaswani et al. 2017.
    """
    return InverseSqrt(
        **numbers("inverse_sqrt_schedule", init_value=init_value, peak_value=peak_value, warmup_steps=warmup_steps)
    )
