"""What a schedule is: a callable of the step count that is a pytree of its numbers."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey

from jaxopt_lite.optimizers._ranges import number
from jaxopt_lite.optimizers._structure import same
from jaxopt_lite.optimizers._types import Schedule

POSITIVE = frozenset({"transition_steps", "decay_steps", "decay_rate", "div_factor", "final_div_factor"})
NOT_NEGATIVE = frozenset({"warmup_steps", "stable_steps", "transition_begin"})
SHARES = frozenset({"pct_start", "pct_final"})
Class = TypeVar("Class", bound=type)


def schedule(name: str, *flags: str) -> Callable[[Class], Class]:
    """Register a NamedTuple as the schedule that a public function makes.

    Args:
        name: the function's name, for `repr`.
        *flags: the fields that are static; the others are leaves.

    Returns:
        A decorator of the class. Instances compare by value (arrays by their entries) and print as the call that makes
        them; a method `_arguments` gives the arguments of that call where they are not the fields.
    """

    def register(cls: Any) -> Any:
        data = tuple(field for field in cls._fields if field not in flags)

        def with_keys(self: Any) -> tuple:
            return [(GetAttrKey(field), getattr(self, field)) for field in data], static(self)

        def without_keys(self: Any) -> tuple:
            return [getattr(self, field) for field in data], static(self)

        def static(self: Any) -> tuple:
            return tuple(getattr(self, field) for field in flags)

        def rebuilt(static: tuple, children: Any) -> Any:
            return cls(**dict(zip(data, children, strict=True)), **dict(zip(flags, static, strict=True)))

        def equal(self: Any, other: Any) -> bool:
            return type(other) is cls and _same(self, other)

        def shown(self: Any) -> str:
            arguments = getattr(self, "_arguments", self._asdict)()
            return f"{name}({', '.join(f'{field}={value!r}' for field, value in arguments.items())})"

        jax.tree_util.register_pytree_with_keys(cls, with_keys, rebuilt, without_keys)
        cls.__eq__, cls.__ne__ = equal, lambda self, other: not equal(self, other)
        cls.__repr__, cls.__hash__ = shown, tuple.__hash__
        return cls

    return register


def _same(a: Any, b: Any) -> bool:
    ours: Any = jax.tree.flatten(a)
    theirs: Any = jax.tree.flatten(b)
    return ours[1] == theirs[1] and all(map(same, ours[0], theirs[0]))


def numbers(where: str, **arguments: Any) -> dict[str, Any]:
    """The arguments of a schedule, checked.

    Args:
        where: the public function that was given them.
        **arguments: numbers, arrays, tracers or objects that become numbers later.

    Returns:
        The arguments by name, Python numbers as floats.

    Raises:
        TypeError: if one is `None`, a boolean, a string, a list or a function.
        ValueError: if a Python number is NaN, infinite or out of the range of its name.
    """
    return {name: _number(where, name, value) for name, value in arguments.items()}


def _number(where: str, name: str, value: Any) -> Any:
    if value is None or callable(value) or isinstance(value, bool | str):
        raise TypeError(f"{where}: {name}={value!r} is not a number")
    value = number(where, name, value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where}: {name}={value:g} is not finite")
        if name in POSITIVE and value <= 0:
            raise ValueError(f"{where}: {name}={value:g} must be above 0")
        if name in NOT_NEGATIVE and value < 0:
            raise ValueError(f"{where}: {name}={value:g} must not be negative")
        if name in SHARES and not 0 <= value <= 1:
            raise ValueError(f"{where}: {name}={value:g} is a share of the steps and must be in [0, 1]")
    return value


def check_ascending(where: str, **steps: Any) -> None:
    """Check the order of steps.

    Args:
        where: the public function that was given them.
        **steps: the steps by name, in the order in which they must be. Only Python numbers are compared.

    Raises:
        ValueError: if one is below the one before.
    """
    known = [(name, step) for name, step in steps.items() if isinstance(step, int | float)]
    for (before, low), (after, high) in itertools.pairwise(known):
        if high < low:
            raise ValueError(f"{where}: {after}={high:g} is below {before}={low:g}: give ascending ones")


def time(count: Any) -> jax.Array:
    """The count as a floating number."""
    return jnp.asarray(count).astype(float)


def share_done(count: Any, steps: Any) -> jax.Array:
    """The share `count / steps` of a phase that is done, in [0, 1]; 1 if the phase has no steps."""
    return jnp.where(steps > 0, jnp.clip(time(count) / jnp.maximum(steps, 1e-9), 0, 1), 1.0)


def half_cosine(share: jax.Array, exponent: Any) -> jax.Array:
    """From 1 at share 0 to 0 at share 1, along half a cosine raised to `exponent`."""
    return power(0.5 * (1 + jnp.cos(jnp.pi * share)), exponent)


def power(x: jax.Array, exponent: Any) -> jax.Array:
    """`x**exponent` for x ≥ 0, with derivative 0 with respect to x at x = 0, where that of a root is infinite."""
    positive = x > 0
    return jnp.where(positive, jnp.where(positive, x, 1.0) ** exponent, jnp.zeros_like(x) ** exponent)


@schedule("as_schedule", "function")
class Function(NamedTuple):
    """A plain function of the count inside a schedule: static, as JAX cannot look inside it."""

    function: Schedule

    def __call__(self, count: Any) -> Any:
        """The function's value at `count`."""
        return self.function(count)


def as_schedule(where: str, value: Any) -> Any:
    """A schedule that is a pytree of leaves.

    Args:
        where: the public function that was given it.
        value: a schedule. A plain function becomes static structure.

    Returns:
        A callable pytree.

    Raises:
        TypeError: if `value` is not callable.
    """
    if not callable(value):
        raise TypeError(f"{where} was given {value!r}: give schedules, as constant_schedule(0.1)")
    return Function(value) if jax.tree_util.all_leaves([value]) else value
