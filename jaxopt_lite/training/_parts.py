"""The parts of the data of a supervised task: training, validation and test."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Parts = tuple[tuple[Array, Array], ...]

# For each number of parts: the name of a part in scores, in errors, and in the names of its arrays.
_NAMES = {
    1: {"train": ("training", "")},
    2: {"train": ("training", ""), "test": ("test", "_test")},
    3: {"train": ("training", ""), "validation": ("validation", "_val"), "test": ("test", "_test")},
}


def names(parts: Parts) -> tuple[str, ...]:
    """What the parts are called in the names of scores: `train_loss`, `validation_loss`, `test_loss`."""
    return tuple(_NAMES[len(parts)])


def labels(parts: Parts) -> dict[str, Array]:
    """The labels of each part, by the name of the part in errors."""
    return {part: y for (part, _), (_, y) in zip(_NAMES[len(parts)].values(), parts, strict=True)}


def checked(data: Any, fewest: int = 2) -> Parts:
    """The parts as JAX arrays.

    Args:
        data: the parts.
        fewest: how many there must be at least.

    Raises:
        ValueError: the data has another form, lengths or shapes that do not agree, entries that are not numbers, or
            NaN or infinite entries.
    """
    try:
        given = [(x, y) for x, y in data]
    except (TypeError, ValueError):
        given = []
    if not fewest <= len(given) <= 3:
        raise ValueError("data must be ((x, y), (x_test, y_test)) or ((x, y), (x_val, y_val), (x_test, y_test))")
    described = _NAMES[len(given)].values()
    parts = [tuple(a if isinstance(a, jax.Array) else np.asarray(a) for a in pair) for pair in given]
    arrays: dict[str, Any] = {}
    for (part, suffix), (x, y) in zip(described, parts, strict=True):
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or not len(x):
            raise ValueError(f"the {part} x and y need equal, non-zero lengths, got shapes {x.shape} and {y.shape}")
        arrays |= {f"x{suffix}": x, f"y{suffix}": y}
    _check_entries(arrays)
    first = parts[0][0]
    for (part, _), (x, _) in zip(described, parts, strict=True):
        if x.shape[1:] != first.shape[1:]:
            raise ValueError(f"training and {part} x differ in shape: {first.shape} and {x.shape}")
    return tuple((jnp.asarray(x), jnp.asarray(y)) for x, y in parts)


def _check_entries(arrays: Mapping[str, Any]) -> None:
    for name, a in arrays.items():
        if jnp.issubdtype(a.dtype, jnp.inexact) and not bool(jnp.isfinite(jnp.asarray(a)).all()):
            outcome = "every training would diverge" if name in ("x", "y") else "its scores would be NaN"
            raise ValueError(f"{name} has entries that are NaN or infinite: {outcome}; remove or impute them")
        if not (jnp.issubdtype(a.dtype, jnp.number) or a.dtype == bool):
            raise ValueError(f"{name} must be numbers, got an array of {a.dtype}")
