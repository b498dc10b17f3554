"""Schedules as data: a callable of the step count whose numbers are leaves."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey

from jaxopt_lite.optimizers._arguments import number, same


def schedule(name: str, *flags: str) -> Any:
    """Register a NamedTuple as the schedule of the function `name`; `flags` are its fields that are structure."""

    def register(cls: Any) -> Any:
        data = tuple(field for field in cls._fields if field not in flags)

        def with_keys(self: Any) -> tuple:
            return [(GetAttrKey(field), getattr(self, field)) for field in data], tuple(getattr(self, f) for f in flags)

        def bare(self: Any) -> tuple:
            return [getattr(self, field) for field in data], tuple(getattr(self, f) for f in flags)

        def built(still: tuple, children: Any) -> Any:
            return cls(**dict(zip(data, children, strict=True)), **dict(zip(flags, still, strict=True)))

        def equal(self: Any, other: Any) -> bool:
            return type(other) is cls and all(map(same, self, other))

        def shown(self: Any) -> str:
            return f"{name}({', '.join(f'{field}={getattr(self, field)!r}' for field in cls._fields)})"

        jax.tree_util.register_pytree_with_keys(cls, with_keys, built, bare)
        cls.__eq__, cls.__repr__, cls.__hash__ = equal, shown, tuple.__hash__
        return cls

    return register


def _numbers(where: str, **arguments: Any) -> dict[str, Any]:
    return {name: None if value is None else number(where, name, value) for name, value in arguments.items()}


def _time(count: Any) -> jax.Array:
    return jnp.asarray(count).astype(float)


def _share(count: Any, steps: Any) -> jax.Array:
    """How much of `steps` is done, in [0, 1]; all of it if there are none."""
    return jnp.where(steps > 0, jnp.clip(_time(count) / jnp.maximum(steps, 1e-9), 0, 1), 1.0)


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
    return ConstantSchedule(**_numbers("constant_schedule", value=value))


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
        after = jnp.maximum(_time(count) - self.transition_begin, 0)
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
    given = _numbers(
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
            (1 - self.alpha) * _half_cosine(_share(count, self.decay_steps), self.exponent) + self.alpha
        )


def cosine_decay_schedule(init_value: Any, decay_steps: Any, alpha: Any = 0.0, exponent: Any = 1.0) -> CosineDecay:
    """Cosine decay: `init_value·((1 − alpha)·(½(1 + cos(π·count/decay_steps)))^exponent + alpha)`.

    After `decay_steps` > 0 steps it stays at `alpha·init_value`. All four are leaves.

    >>> round(float(cosine_decay_schedule(1.0, 10)(5)), 3)
    0.5

    Source: Loshchilov and Hutter 2017.
    """
    return CosineDecay(
        **_numbers(
            "cosine_decay_schedule", init_value=init_value, decay_steps=decay_steps, alpha=alpha, exponent=exponent
        )
    )


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
        t = _time(count)
        up = self.init_value + (self.peak_value - self.init_value) * _share(t, self.warmup_steps)
        share = _share(t - self.warmup_steps, self.decay_steps - self.warmup_steps)
        down = self.end_value + (self.peak_value - self.end_value) * _half_cosine(share, self.exponent)
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
    given = _numbers(
        "warmup_cosine_decay_schedule",
        init_value=init_value,
        peak_value=peak_value,
        warmup_steps=warmup_steps,
        decay_steps=decay_steps,
        end_value=end_value,
        exponent=exponent,
    )
    return WarmupCosineDecay(**given)


def _half_cosine(share: jax.Array, exponent: Any) -> jax.Array:
    return jnp.maximum(0.5 * (1 + jnp.cos(jnp.pi * share)), 0) ** exponent
