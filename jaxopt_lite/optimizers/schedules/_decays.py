"""Schedules that fall (or rise) from a first value: constant, polynomial, linear, exponential, cosine, inverse root."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers.schedules._schedule import half_cosine, numbers, schedule, share_done, time


@schedule("constant_schedule")
class ConstantSchedule(NamedTuple):
    """The same value at every step."""

    value: Any

    def __call__(self, count: Any) -> Any:
        """The value."""
        return self.value


def constant_schedule(value: Any) -> ConstantSchedule:
    """`value` at every step: a schedule that does not vary, for places where a schedule is wanted.

    >>> constant_schedule(0.5)(7)
    0.5
    """
    return ConstantSchedule(**numbers("constant_schedule", value=value))


@schedule("polynomial_schedule")
class Polynomial(NamedTuple):
    """From one value to another along a power."""

    init_value: Any
    end_value: Any
    power: Any
    transition_steps: Any
    transition_begin: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        left = 1 - share_done(time(count) - self.transition_begin, self.transition_steps)
        return self.end_value + (self.init_value - self.end_value) * left**self.power


def polynomial_schedule(
    init_value: Any, end_value: Any, power: Any, transition_steps: Any, transition_begin: Any = 0
) -> Polynomial:
    """From `init_value` to `end_value` along a power: `end_value + (init_value − end_value)·(1 − share)^power`.

    `share` is the part of `transition_steps` > 0 that is done since `transition_begin`. All five are leaves.

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
    """From one value to another along a line."""

    init_value: Any
    end_value: Any
    transition_steps: Any
    transition_begin: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        share = share_done(time(count) - self.transition_begin, self.transition_steps)
        return self.init_value + (self.end_value - self.init_value) * share


def linear_schedule(init_value: Any, end_value: Any, transition_steps: Any, transition_begin: Any = 0) -> Linear:
    """From `init_value` to `end_value` in `transition_steps` > 0 equal steps, beginning at `transition_begin`.

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
    """A constant share less every so many steps."""

    init_value: Any
    transition_steps: Any
    decay_rate: Any
    transition_begin: Any
    staircase: bool
    end_value: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        after = jnp.maximum(time(count) - self.transition_begin, 0)
        p = after / self.transition_steps
        value = self.init_value * self.decay_rate ** (jnp.floor(p) if self.staircase else p)
        if self.end_value is None:
            return value
        bounded = jnp.where(
            jnp.asarray(self.decay_rate) < 1, jnp.maximum(value, self.end_value), jnp.minimum(value, self.end_value)
        )
        return bounded


def exponential_decay(
    init_value: Any,
    transition_steps: Any,
    decay_rate: Any,
    transition_begin: Any = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> ExponentialDecay:
    """Exponential decay: `init_value · decay_rate^((count − transition_begin) / transition_steps)`.

    Before `transition_begin` it is `init_value`; with `staircase` the exponent is rounded down; `end_value`, if
    given, is the bound it does not pass. `transition_steps` > 0. Numbers are leaves, `staircase` is structure.

    >>> round(float(exponential_decay(1.0, 10, 0.5)(20)), 3)
    0.25
    """
    given = numbers(
        "exponential_decay",
        init_value=init_value,
        transition_steps=transition_steps,
        decay_rate=decay_rate,
        transition_begin=transition_begin,
        end_value=end_value,
    )
    return ExponentialDecay(**given, staircase=bool(staircase))


@schedule("cosine_decay_schedule")
class CosineDecay(NamedTuple):
    """Half a cosine from the first value down to a share of it."""

    init_value: Any
    decay_steps: Any
    alpha: Any
    exponent: Any

    def __call__(self, count: Any) -> jax.Array:
        """The value at `count`."""
        return self.init_value * (
            (1 - self.alpha) * half_cosine(share_done(count, self.decay_steps), self.exponent) + self.alpha
        )


def cosine_decay_schedule(init_value: Any, decay_steps: Any, alpha: Any = 0.0, exponent: Any = 1.0) -> CosineDecay:
    """Cosine decay: `init_value·((1 − alpha)·(½(1 + cos(π·count/decay_steps)))^exponent + alpha)`.

    After `decay_steps` > 0 steps it stays at `alpha·init_value`. All four are leaves.

    >>> round(float(cosine_decay_schedule(1.0, 10)(5)), 3)
    0.5

    Source: Loshchilov and Hutter 2017.
    """
    return CosineDecay(
        **numbers(
            "cosine_decay_schedule", init_value=init_value, decay_steps=decay_steps, alpha=alpha, exponent=exponent
        )
    )
