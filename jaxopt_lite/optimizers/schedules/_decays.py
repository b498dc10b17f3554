"""Schedules that move from a first value to a last one: constant, polynomial, linear, exponential, cosine."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._ranges import flag
from jaxopt_lite.optimizers._types import Number
from jaxopt_lite.optimizers.schedules._schedule import half_cosine, numbers, power, schedule, share_done, time


@schedule("constant_schedule")
class ConstantSchedule(NamedTuple):
    """The schedule that `constant_schedule` makes."""

    value: Any

    def __call__(self, count: Any) -> Any:
        """The value."""
        return self.value


def constant_schedule(value: Number) -> ConstantSchedule:
    """The same value at every step.

    Args:
        value: the value.

    Returns:
        A schedule whose leaf is the value.

    Raises:
        ValueError: if `value` is NaN.
        TypeError: if it is a boolean or a string.

    Example:
        >>> constant_schedule(0.5)(7)
        0.5
    """
    return ConstantSchedule(**numbers("constant_schedule", value=value))


@schedule("polynomial_schedule")
class Polynomial(NamedTuple):
    """The schedule that `polynomial_schedule` makes."""

    init_value: Any
    end_value: Any
    power: Any
    transition_steps: Any
    transition_begin: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        remaining = 1 - share_done(time(count) - self.transition_begin, self.transition_steps)
        return self.end_value + (self.init_value - self.end_value) * power(remaining, self.power)


def polynomial_schedule(
    init_value: Number, end_value: Number, power: Number, transition_steps: Number, transition_begin: Number = 0
) -> Polynomial:
    """From one value to another along a power: `end_value + (init_value − end_value)·(1 − share)^power`.

    `share` is `(count − transition_begin) / transition_steps`, kept within [0, 1].

    Args:
        init_value: the value up to `transition_begin`.
        end_value: the value after `transition_begin + transition_steps`.
        power: the exponent; 1 gives a line, larger ones a faster change at first.
        transition_steps: the steps from the first to the last value, > 0.
        transition_begin: the step at which the change begins, ≥ 0.

    Returns:
        A schedule whose leaves are the five numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> round(float(polynomial_schedule(1.0, 0.0, 2, 10)(5)), 3)
        0.25
    """
    given = numbers(
        "polynomial_schedule",
        init_value=init_value,
        end_value=end_value,
        power=power,
        transition_steps=transition_steps,
        transition_begin=transition_begin,
    )
    return Polynomial(**given)


@schedule("linear_schedule")
class Linear(NamedTuple):
    """The schedule that `linear_schedule` makes."""

    init_value: Any
    end_value: Any
    transition_steps: Any
    transition_begin: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        share = share_done(time(count) - self.transition_begin, self.transition_steps)
        return self.init_value + (self.end_value - self.init_value) * share


def linear_schedule(
    init_value: Number, end_value: Number, transition_steps: Number, transition_begin: Number = 0
) -> Linear:
    """From one value to another in equal steps.

    Args:
        init_value: the value up to `transition_begin`.
        end_value: the value after `transition_begin + transition_steps`.
        transition_steps: the steps from the first to the last value, > 0.
        transition_begin: the step at which the change begins, ≥ 0.

    Returns:
        A schedule whose leaves are the four numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> round(float(linear_schedule(1.0, 0.0, 10)(4)), 3)
        0.6
    """
    given = numbers(
        "linear_schedule",
        init_value=init_value,
        end_value=end_value,
        transition_steps=transition_steps,
        transition_begin=transition_begin,
    )
    return Linear(**given)


@schedule("exponential_decay", "staircase")
class ExponentialDecay(NamedTuple):
    """The schedule that `exponential_decay` makes."""

    init_value: Any
    transition_steps: Any
    decay_rate: Any
    transition_begin: Any
    staircase: bool
    end_value: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        share = jnp.maximum(time(count) - self.transition_begin, 0) / self.transition_steps
        value = self.init_value * self.decay_rate ** (jnp.floor(share) if self.staircase else share)
        if self.end_value is None:
            return value
        falling = jnp.asarray(self.decay_rate) < 1
        return jnp.where(falling, jnp.maximum(value, self.end_value), jnp.minimum(value, self.end_value))


def exponential_decay(
    init_value: Number,
    transition_steps: Number,
    decay_rate: Number,
    transition_begin: Number = 0,
    staircase: bool = False,
    end_value: Number | None = None,
) -> ExponentialDecay:
    """Exponential decay: `init_value · decay_rate^((count − transition_begin) / transition_steps)`.

    Args:
        init_value: the value up to `transition_begin`.
        transition_steps: the steps in which the value is multiplied once by `decay_rate`, > 0.
        decay_rate: the factor, > 0; above 1 the value grows.
        transition_begin: the step at which the decay begins, ≥ 0.
        staircase: round the exponent down, so that the value changes every `transition_steps` steps only. Static.
        end_value: a bound that the value does not pass; `None` for no bound.

    Returns:
        A schedule whose leaves are the numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if a number is a boolean or a string.

    Example:
        >>> round(float(exponential_decay(1.0, 10, 0.5)(20)), 3)
        0.25
    """
    given = numbers(
        "exponential_decay",
        init_value=init_value,
        transition_steps=transition_steps,
        decay_rate=decay_rate,
        transition_begin=transition_begin,
    )
    bound = None if end_value is None else numbers("exponential_decay", end_value=end_value)["end_value"]
    return ExponentialDecay(**given, staircase=flag("exponential_decay", "staircase", staircase), end_value=bound)


@schedule("cosine_decay_schedule")
class CosineDecay(NamedTuple):
    """The schedule that `cosine_decay_schedule` makes."""

    init_value: Any
    decay_steps: Any
    alpha: Any
    exponent: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        fall = half_cosine(share_done(count, self.decay_steps), self.exponent)
        return self.init_value * ((1 - self.alpha) * fall + self.alpha)


def cosine_decay_schedule(
    init_value: Number, decay_steps: Number, alpha: Number = 0.0, exponent: Number = 1.0
) -> CosineDecay:
    """Cosine decay: `init_value·((1 − alpha)·(½(1 + cos(π·count/decay_steps)))^exponent + alpha)`.

    Args:
        init_value: the first value.
        decay_steps: the steps to the last value, > 0; the value stays there.
        alpha: the last value divided by the first.
        exponent: the power to which the half cosine is raised.

    Returns:
        A schedule whose leaves are the four numbers.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if an argument is a boolean or a string.

    Example:
        >>> round(float(cosine_decay_schedule(1.0, 10)(5)), 3)
        0.5

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    given = numbers(
        "cosine_decay_schedule", init_value=init_value, decay_steps=decay_steps, alpha=alpha, exponent=exponent
    )
    return CosineDecay(**given)
