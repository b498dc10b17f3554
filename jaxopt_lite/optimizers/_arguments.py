"""Arguments of an optimizer: which are numbers that may vary, which are structure, and what is wrong with them."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

UNIT = frozenset({"b1", "b2", "momentum", "decay", "rho"})
NOT_NEGATIVE = frozenset(
    {"learning_rate", "eps", "eps_root", "weight_decay", "initial_accumulator_value", "initial_scale"}
)
POSITIVE = frozenset(
    {"decay_steps", "transition_steps", "steps", "max_norm", "max_delta", "threshold", "max_spike", "loss_scale"}
)


class Counted(NamedTuple):
    """A plain Python function of the step count that stands for a setting: structure, as its inside cannot be seen."""

    function: Any


class Frozen:
    """A tree (a mask of booleans, say) as structure: hashable, equal to its equal."""

    def __init__(self, tree: Any) -> None:
        leaves, self.treedef = jax.tree.flatten(tree)
        self.leaves = tuple(map(_entry, leaves))
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and (self.treedef, self.leaves) == (other.treedef, other.leaves)

    def __hash__(self) -> int:
        return hash((self.treedef, self.leaves))


def _entry(x: Any) -> Any:
    if callable(x):  # an object that cannot be hashed is itself alone
        return id(x)
    return bool(x) if np.ndim(x) == 0 else np.asarray(x).tobytes()


def freeze(value: Any) -> Any:
    """`value` as hashable structure."""
    try:
        hash(value)
    except TypeError:
        return Frozen(value)
    return value


def thaw(value: Any) -> Any:
    """What `freeze` or `sort` was given."""
    return value.tree if isinstance(value, Frozen) else value.function if isinstance(value, Counted) else value


def opened(fixed: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """The structure by name, as a rule reads it."""
    return {name: value.tree if isinstance(value, Frozen) else value for name, value in fixed}


def same(a: Any, b: Any) -> bool:
    """Whether two settings are equal, arrays by their entries; tracers are equal to themselves alone."""
    if a is b:
        return True
    if isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return False
    if isinstance(a, jax.Array | np.ndarray) or isinstance(b, jax.Array | np.ndarray):
        return isinstance(b, type(a)) and a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)


def dtype(name: str, value: Any) -> np.dtype | None:
    """A dtype argument in one form, or `None`."""
    if value is None:
        return None
    kind = jax.dtypes.canonicalize_dtype(value)
    if not jax.dtypes.issubdtype(kind, np.inexact):
        raise ValueError(f"{name}={value!r} cannot hold a moment: give a floating dtype, as jax.numpy.bfloat16")
    return kind


def sort(where: str, arguments: Mapping[str, Any], own: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that are data, and those that are structure (`None`, plain functions).

    Of arguments that are not `own`, but optax's, only the learning rate's range is known.
    """
    data: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None and own and name == "learning_rate":
            raise TypeError(f"{where}: learning_rate is None: give a number or a schedule, as 1e-3")
        if value is None:
            fixed[name] = None
        elif callable(value) and jax.tree_util.all_leaves([value]):
            fixed[name] = Counted(value)
        else:
            data[name] = number(where, name if own or name == "learning_rate" else "", value)
    return data, fixed


def number(where: str, name: str, value: Any) -> Any:
    """A Python or numpy number checked and as a float; anything else as it is."""
    if isinstance(value, bool | str | bytes | np.bool_):
        raise TypeError(f"{where}: {name}={value!r} is a {type(value).__name__}: give a number or a schedule")
    if not isinstance(value, int | float | np.number):
        return value
    value = float(value)
    if math.isnan(value):
        raise ValueError(f"{where}: {name} is not a number (NaN)")
    if name in UNIT and not 0 <= value < 1:
        raise ValueError(f"{where}: {name}={value:g} is outside [0, 1): the average over past steps would not be one")
    if name in POSITIVE and value <= 0:
        raise ValueError(f"{where}: {name}={value:g} must be above 0")
    if name in NOT_NEGATIVE and value < 0:
        hint = (
            "the step already goes downhill, so give its size" if name == "learning_rate" else "it cannot be negative"
        )
        raise ValueError(f"{where}: {name}={value:g} is negative: {hint}")
    return value
