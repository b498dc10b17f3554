"""Sparsemax: the projection onto the probability simplex."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.arguments import axis_of, real
from jaxopt_lite.activations._rule.axis import along_axis


def _project(x: jax.Array, axis: int) -> jax.Array:
    return jnp.moveaxis(_simplex(jnp.moveaxis(x, axis, -1)), -1, axis)


def _support(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which entries of the last axis stay positive, for x less its largest entry; and how many."""
    ranked = -jnp.sort(-x, axis=-1)
    rank = jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    count = jnp.sum(1.0 + rank * ranked > jnp.cumsum(ranked, -1), -1, keepdims=True)
    return x >= jnp.take_along_axis(ranked, jnp.maximum(count - 1, 0), -1), count.astype(x.dtype)


def _less_largest(x: jax.Array) -> jax.Array:
    top = jnp.max(x, -1, keepdims=True)
    return jnp.where(x == top, 0.0, x - top)


@jax.custom_jvp
def _simplex(x: jax.Array) -> jax.Array:
    x = _less_largest(x)
    inside, count = _support(x)
    total = jnp.sum(jnp.where(inside, x, 0.0), -1, keepdims=True)
    return jnp.where(inside, jnp.maximum(1.0 + (count * x - total), 0.0) / count, jnp.where(jnp.isnan(x), x, 0.0))


@_simplex.defjvp
def _simplex_rule(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    x, t = primals[0], tangents[0]
    inside, count = _support(_less_largest(x))
    mean = jnp.sum(jnp.where(inside, t, 0.0), -1, keepdims=True) / count
    return _simplex(x), jnp.where(inside, t - mean, 0.0)


_sparsemax = along_axis("sparsemax", _project)


def sparsemax(x: ArrayLike, axis: int = -1) -> jax.Array:
    """The point of the probability simplex that is nearest to x: like softmax, but exactly 0 for small entries.

    Args:
        x: real array of at least one axis.
        axis: the axis that sums to 1, counted from either end. Default: the last.

    Returns:
        An array like x in [0, 1], exactly 0 for small entries.

    Raises:
        ValueError: if the axis does not exist.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in sparsemax(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [0.0, 0.0, 0.0, 1.0]

    Reference:
        Martins and Astudillo 2016.
    """
    x = real("sparsemax", x)
    axis = axis_of("sparsemax", x, axis)
    return _sparsemax(x, (axis,)) if x.size else x
