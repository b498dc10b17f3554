"""What a schedule is: a callable of the step count that is a pytree of its numbers."""

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


def numbers(where: str, **arguments: Any) -> dict[str, Any]:
    """The arguments checked, Python numbers as floats."""
    return {name: None if value is None else number(where, name, value) for name, value in arguments.items()}


def time(count: Any) -> jax.Array:
    """The count as a floating number."""
    return jnp.asarray(count).astype(float)


def share_done(count: Any, steps: Any) -> jax.Array:
    """How much of `steps` is done, in [0, 1]; all of it if there are none."""
    return jnp.where(steps > 0, jnp.clip(time(count) / jnp.maximum(steps, 1e-9), 0, 1), 1.0)


@schedule("as_schedule", "function")
class Function(NamedTuple):
    """A plain function of the count inside a schedule: structure, as its inside cannot be seen."""

    function: Any

    def __call__(self, count: Any) -> Any:
        """The function's value."""
        return self.function(count)


def as_schedule(where: str, value: Any) -> Any:
    """A schedule as it is, a plain function as structure, a number as a constant."""
    if isinstance(value, tuple) and callable(value):
        return value
    if callable(value):
        return Function(value)
    raise TypeError(f"{where} was given {value!r}: give schedules, as constant_schedule(0.1)")


def half_cosine(share: jax.Array, exponent: Any) -> jax.Array:
    """From 1 at share 0 to 0 at share 1, along half a cosine raised to `exponent`."""
    return jnp.maximum(0.5 * (1 + jnp.cos(jnp.pi * share)), 0) ** exponent
