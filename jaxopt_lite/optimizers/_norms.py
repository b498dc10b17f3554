"""Norms of whole trees that neither overflow nor lose small entries, and whether a tree is finite."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import real, square, working


def global_norm(tree: Any) -> jax.Array:
    """The root of the sum of all squares, in float32 at least.

    Where the plain sum overflows, as entries above 1e19 make it in bfloat16 and float32, it is taken again with the
    largest entry as the unit: the norm is infinite only if an entry is, or if it is itself too large for its dtype.
    """
    unit, length = norm_in_units(tree)
    return unit * length


def norm_in_units(tree: Any) -> tuple[jax.Array, jax.Array]:
    """The norm as a product of a unit and a length, neither of which overflows where the entries are finite."""
    leaves = [x.astype(working(x.dtype)) for x in jax.tree.leaves(tree)]
    if not leaves:
        return jnp.ones((), jnp.float32), jnp.zeros((), jnp.float32)
    total = _squares(leaves)
    return jax.lax.cond(jnp.isinf(total), lambda: _scaled(leaves), lambda: (jnp.ones_like(total), jnp.sqrt(total)))


def all_finite(tree: Any) -> jax.Array:
    """Whether every entry of every leaf is finite."""
    return functools.reduce(jnp.logical_and, [jnp.isfinite(x).all() for x in jax.tree.leaves(tree)], jnp.array(True))


def _squares(leaves: list[jax.Array]) -> jax.Array:
    kind = functools.reduce(jnp.promote_types, [real(x.dtype) for x in leaves])
    return sum((jnp.sum(square(x)).astype(kind) for x in leaves), jnp.zeros((), kind))


def _scaled(leaves: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
    kind = functools.reduce(jnp.promote_types, [real(x.dtype) for x in leaves])
    largest = functools.reduce(jnp.maximum, [jnp.max(jnp.abs(x)).astype(kind) for x in leaves])
    # The unit's reciprocal must be a normal number, as XLA multiplies by it.
    unit = jnp.clip(largest, 1, jnp.finfo(kind).max / 256)
    return unit, jnp.sqrt(_squares([x / unit.astype(real(x.dtype)) for x in leaves]))
