"""Schedules that begin with a linear warm-up to a peak."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._ranges import flag
from jaxopt_lite.optimizers._types import Number
from jaxopt_lite.optimizers.schedules._decays import ExponentialDecay
from jaxopt_lite.optimizers.schedules._schedule import half_cosine, numbers, schedule, share_done, time


def _rising(first: Any, peak: Any, steps: Any, count: Any) -> jax.Array:
    return first + (peak - first) * share_done(count, steps)


@schedule("warmup_cosine_decay_schedule")
class WarmupCosineDecay(NamedTuple):
    """The schedule that `warmup_cosine_decay_schedule` makes."""

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
    init_value: Number,
    peak_value: Number,
    warmup_steps: Number,
    decay_steps: Number,
    end_value: Number = 0.0,
    exponent: Number = 1.0,
) -> WarmupCosineDecay:
    """Linear warm-up, then cosine decay.

    Args:
        init_value: the first value.
        peak_value: the value at the end of the warm-up.
        warmup_steps: the steps of the warm-up, ≥ 0.
        decay_steps: the steps of the whole schedule, warm-up included as in optax, > `warmup_steps`.
        end_value: the last value, which stays.
        exponent: the power to which the half cosine is raised.

    Returns:
        A schedule whose leaves are the six numbers.

    Raises:
        ValueError: if a Python number is out of its range, or no step remains for the decay.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> round(float(warmup_cosine_decay_schedule(0.0, 1.0, 10, 110)(60)), 3)
        0.5

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
        Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017 (warm-up).
    """
    if isinstance(warmup_steps, int | float) and isinstance(decay_steps, int | float) and decay_steps <= warmup_steps:
        raise ValueError(
            f"warmup_cosine_decay_schedule: decay_steps={decay_steps} includes the warm-up and must be above "
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
    """The schedule that `warmup_constant_schedule` makes."""

    init_value: Any
    peak_value: Any
    warmup_steps: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        return _rising(self.init_value, self.peak_value, self.warmup_steps, count)


def warmup_constant_schedule(init_value: Number, peak_value: Number, warmup_steps: Number) -> WarmupConstant:
    """Linear warm-up, then constant.

    Args:
        init_value: the first value.
        peak_value: the value at the end of the warm-up, which stays.
        warmup_steps: the steps of the warm-up, ≥ 0.

    Returns:
        A schedule whose leaves are the three numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> float(warmup_constant_schedule(0.0, 1.0, 10)(5))
        0.5
    """
    given = {"init_value": init_value, "peak_value": peak_value, "warmup_steps": warmup_steps}
    return WarmupConstant(**numbers("warmup_constant_schedule", **given))


@schedule("warmup_exponential_decay_schedule", "staircase")
class WarmupExponentialDecay(NamedTuple):
    """The schedule that `warmup_exponential_decay_schedule` makes."""

    init_value: Any
    peak_value: Any
    warmup_steps: Any
    transition_steps: Any
    decay_rate: Any
    transition_begin: Any
    staircase: bool
    end_value: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        t = time(count)
        up = _rising(self.init_value, self.peak_value, self.warmup_steps, t)
        # The fields after the third are those of ExponentialDecay after its first.
        decay = ExponentialDecay(self.peak_value, *self[3:])
        return jnp.where(t < self.warmup_steps, up, decay(t - self.warmup_steps))


def warmup_exponential_decay_schedule(
    init_value: Number,
    peak_value: Number,
    warmup_steps: Number,
    transition_steps: Number,
    decay_rate: Number,
    transition_begin: Number = 0,
    staircase: bool = False,
    end_value: Number | None = None,
) -> WarmupExponentialDecay:
    """Linear warm-up, then exponential decay: `peak_value · decay_rate^(steps of the decay / transition_steps)`.

    Args:
        init_value: the first value.
        peak_value: the value at the end of the warm-up.
        warmup_steps: the steps of the warm-up, ≥ 0.
        transition_steps: the steps in which the value is multiplied once by `decay_rate`, > 0.
        decay_rate: the factor, > 0; above 1 the value grows.
        transition_begin: the steps after the warm-up during which the value stays at the peak, ≥ 0.
        staircase: round the exponent down, so that the value changes every `transition_steps` steps only. Static.
        end_value: a bound that the value does not pass after the warm-up; `None` for no bound.

    Returns:
        A schedule whose leaves are the numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if a number is a boolean or a string.

    Example:
        >>> float(warmup_exponential_decay_schedule(0.0, 1.0, 10, 10, 0.5)(20))
        0.5
    """
    given = numbers(
        "warmup_exponential_decay_schedule",
        init_value=init_value,
        peak_value=peak_value,
        warmup_steps=warmup_steps,
        transition_steps=transition_steps,
        decay_rate=decay_rate,
        transition_begin=transition_begin,
    )
    bound = (
        None if end_value is None else numbers("warmup_exponential_decay_schedule", end_value=end_value)["end_value"]
    )
    return WarmupExponentialDecay(
        **given, staircase=flag("warmup_exponential_decay_schedule", "staircase", staircase), end_value=bound
    )


@schedule("warmup_stable_decay_schedule")
class WarmupStableDecay(NamedTuple):
    """The schedule that `warmup_stable_decay_schedule` makes."""

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
        share = share_done(t - self.warmup_steps - self.stable_steps, self.decay_steps)
        return jnp.where(t < self.warmup_steps, up, self.peak_value + (self.end_value - self.peak_value) * share)


def warmup_stable_decay_schedule(
    init_value: Number,
    peak_value: Number,
    warmup_steps: Number,
    stable_steps: Number,
    decay_steps: Number,
    end_value: Number = 0.0,
) -> WarmupStableDecay:
    """Linear warm-up, plateau, linear decay. A longer plateau extends a run without changing its beginning.

    Args:
        init_value: the first value.
        peak_value: the value of the plateau.
        warmup_steps: the steps of the warm-up, ≥ 0.
        stable_steps: the steps of the plateau, ≥ 0.
        decay_steps: the steps of the decay, > 0.
        end_value: the last value, which stays.

    Returns:
        A schedule whose leaves are the six numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> [round(float(warmup_stable_decay_schedule(0.0, 1.0, 10, 80, 10)(t)), 2) for t in (5, 50, 95, 200)]
        [0.5, 1.0, 0.5, 0.0]

    Reference:
        Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models", 2024.
        Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024.
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
    """The schedule that `inverse_sqrt_schedule` makes."""

    init_value: Any
    peak_value: Any
    warmup_steps: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        t, steps = time(count), jnp.maximum(self.warmup_steps, 1.0)
        up = _rising(self.init_value, self.peak_value, self.warmup_steps, t)
        return jnp.where(t < steps, up, self.peak_value * jnp.sqrt(steps / jnp.maximum(t, steps)))


def inverse_sqrt_schedule(init_value: Number, peak_value: Number, warmup_steps: Number) -> InverseSqrt:
    """Linear warm-up, then `peak_value·√(warmup_steps/count)`: the length of the run need not be known.

    Args:
        init_value: the first value.
        peak_value: the value at the end of the warm-up.
        warmup_steps: the steps of the warm-up, ≥ 0; below 1 the decay is that of 1.

    Returns:
        A schedule whose leaves are the three numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> float(inverse_sqrt_schedule(0.0, 1.0, 100)(400))
        0.5

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017.
    """
    given = {"init_value": init_value, "peak_value": peak_value, "warmup_steps": warmup_steps}
    return InverseSqrt(**numbers("inverse_sqrt_schedule", **given))
