"""Static structure of an optimizer: hashable forms of flags, functions and trees, and equality of settings."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np


class PlainFunction(NamedTuple):
    """A plain Python function of the step count that stands for a setting: static, as JAX cannot look inside it."""

    function: Callable[[Any], Any]


class Frozen:
    """A tree of static values (a mask of booleans, say): hashable, compared by types and values."""

    def __init__(self, tree: Any) -> None:
        leaves, self.treedef = jax.tree.flatten(tree)
        self.leaves = tuple(map(_hashable, leaves))
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and (self.treedef, self.leaves) == (other.treedef, other.leaves)

    def __hash__(self) -> int:
        return hash((self.treedef, self.leaves))


def _hashable(x: Any) -> Any:
    """What a leaf is compared by: its type with its value, as 1 and 1.0 may compile to different programs."""
    if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return str(x.dtype), x.shape, np.asarray(jax.random.key_data(x)).tobytes()
    if isinstance(x, jax.Array | np.ndarray):
        return str(x.dtype), x.shape, np.asarray(x).tobytes()
    try:
        hash(x)
    except TypeError:  # an object that cannot be hashed is compared by identity
        return type(x), id(x)
    return type(x), x


def freeze(value: Any) -> Any:
    """`value` if it is hashable and equal to values of its type alone, else `Frozen(value)`."""
    if isinstance(value, PlainFunction | bool):
        return value
    if isinstance(value, int | float | tuple):  # 1 == 1.0 == True
        return Frozen(value)
    try:
        hash(value)
    except TypeError:
        return Frozen(value)
    return value


def thaw(value: Any) -> Any:
    """The argument as the user gave it: undoes `freeze` and `PlainFunction`."""
    return value.tree if isinstance(value, Frozen) else value.function if isinstance(value, PlainFunction) else value


def static_arguments(fixed: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """The static arguments by name, as a rule reads them."""
    return {name: value.tree if isinstance(value, Frozen) else value for name, value in fixed}


def same(a: Any, b: Any) -> bool:
    """Whether two settings are equal, arrays by dtype and entries; a tracer equals only itself."""
    if a is b:
        return True
    if isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return False
    if isinstance(a, jax.Array | np.ndarray) or isinstance(b, jax.Array | np.ndarray):
        return isinstance(b, type(a)) and a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)
