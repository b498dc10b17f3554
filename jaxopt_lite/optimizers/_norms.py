"""Norms of whole trees that neither overflow nor lose small entries, and whether a tree is finite."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import real, square, working


def global_norm(tree: Any) -> jax.Array:
    """The root of the sum of all squares, in float32 at least.

    The entries are divided by the power of two next to the largest of them before they are squared. So the norm is
    correct for all entries from 1e-37 to 1e38 in float32 and bfloat16, where plain squares are 0 below 1e-19 and
    infinite above 1e19. It is infinite only if an entry is, or if it is itself too large for its dtype.

    Args:
        tree: a pytree of floating or complex arrays. `None` leaves are skipped.

    Returns:
        A non-negative scalar in the widest dtype of the leaves and float32; NaN if an entry is NaN. Its derivative at
        a zero tree is 0.

    Example:
        >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([4.0])}))
        5.0
    """
    unit, length = norm_in_units(tree)
    return unit * length


def norm_in_units(tree: Any) -> tuple[jax.Array, jax.Array]:
    """The norm as a product of a unit and a length, neither of which overflows where the entries are finite."""
    leaves = [x.astype(working(x.dtype)) for x in jax.tree.leaves(tree)]
    if not leaves:
        return jnp.ones((), jnp.float32), jnp.zeros((), jnp.float32)
    kind = functools.reduce(jnp.promote_types, [real(x.dtype) for x in leaves])
    largest = functools.reduce(jnp.maximum, [jnp.max(jnp.abs(x), initial=0).astype(kind) for x in leaves])
    unit = jax.lax.stop_gradient(_power_of_two(largest))
    total = sum((jnp.sum(square(x / unit.astype(x.dtype))).astype(kind) for x in leaves), jnp.zeros((), kind))
    # The root of another number where the total is 0: there the derivative of the root is infinite.
    zero = total == 0
    return unit, jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, total)))


def all_finite(tree: Any) -> jax.Array:
    """Whether every entry of every leaf is finite."""
    return functools.reduce(jnp.logical_and, [jnp.isfinite(x).all() for x in jax.tree.leaves(tree)], jnp.array(True))


def _power_of_two(x: jax.Array) -> jax.Array:
    """The power of two next to `x`: divided by it, ordinary numbers keep their digits."""
    info = jnp.finfo(x.dtype)
    rounded = jax.lax.reduce_precision(x, exponent_bits=info.nexp, mantissa_bits=0)
    # Both it and its reciprocal must be normal numbers, as XLA may multiply by the reciprocal.
    return jnp.clip(rounded, 4 * info.tiny, info.max / 256)
