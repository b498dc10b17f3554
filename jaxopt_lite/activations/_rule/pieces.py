"""Slopes in pieces: a select between cotangents, so that a slope of zero gives zero for infinite ones too."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

Formula: TypeAlias = Callable[..., Any]


class Pieces(NamedTuple):
    """A slope that is `on` where `test(x, *parameters)` holds and `off` elsewhere.

    Each piece is a number, a formula of (x, *parameters), or again Pieces. A formula must be finite everywhere, for
    its derivative multiplies it with zero where it is not selected.
    """

    test: Formula
    on: "Slope" = 1.0
    off: "Slope" = 0.0


Slope: TypeAlias = float | Formula | Pieces


def times(t: jax.Array, slope: Slope, arguments: Sequence[jax.Array]) -> jax.Array:
    """`t` times the slope at these arguments; zero where the slope is the number 0.0, whatever t is."""
    if isinstance(slope, Pieces):
        return select(slope.test(*arguments), t, slope, arguments)
    if isinstance(slope, int | float):
        return t if slope == 1.0 else jnp.zeros_like(t) if slope == 0.0 else t * slope
    return t * slope(*arguments)


def select(test: jax.Array, t: jax.Array, slope: Pieces, arguments: Sequence[jax.Array]) -> jax.Array:
    """`times` with the result of the test given."""
    return jnp.where(test, times(t, slope.on, arguments), times(t, slope.off, arguments))
