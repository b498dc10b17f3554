"""Softmax and its logarithm along an axis."""

from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.arguments import axis_of, real
from jaxopt_lite.activations._rule.axis import along_axis

Axis: TypeAlias = int | tuple[int, ...] | None
Axes: TypeAlias = tuple[int, ...]


# Without a select, XLA:CPU evaluates these formulas in one pass over the array. That pass takes the minimum of two
# numbers as the processor does, which returns the second one if the first is NaN: `top` must come first.
def _less_largest(x: jax.Array, axes: Axes) -> jax.Array:
    """x - max x: 0 for entries of +inf, NaN where all entries are -inf."""
    top = jnp.minimum(jnp.max(x, axes, keepdims=True, initial=-jnp.inf), float(jnp.finfo(x.dtype).max))
    return jnp.minimum(top, x) - top


def _centred(t: jax.Array, p: jax.Array, axes: Axes, steps: int) -> jax.Array:
    """t - Σ p t. A second step removes the rounding error of the first, which matters where one p is close to 1."""
    for _ in range(steps):
        t = t - jnp.sum(p * t, axes, keepdims=True)
    return t


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x: jax.Array, axes: Axes) -> jax.Array:
    e = jnp.exp(_less_largest(x, axes))
    return e / jnp.sum(e, axes, keepdims=True)


@_softmax.defjvp
def _softmax_rule(axes: Axes, primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    y = _softmax(*primals, axes)
    return y, y * _centred(tangents[0], y, axes, steps=2)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _log_softmax(x: jax.Array, axes: Axes, steps: int = 1) -> jax.Array:
    difference = _less_largest(x, axes)
    smaller = jnp.minimum(difference * -float(jnp.finfo(x.dtype).max), 1.0)  # 0 for the largest entries, 1 elsewhere
    others = jnp.sum(jnp.exp(difference) * smaller, axes, keepdims=True)
    ties = jnp.sum(1.0 - smaller, axes, keepdims=True) - 1.0
    return difference - jnp.log1p(others + ties)


@_log_softmax.defjvp
def _log_softmax_rule(axes: Axes, steps: int, primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    y = _log_softmax(*primals, axes, steps)
    return y, _centred(tangents[0], jnp.exp(y), axes, steps)


def _normalized(name: str, function: Any, x: ArrayLike, axis: Axis, where: ArrayLike | None, fill: float) -> jax.Array:
    """Check, then apply; entries outside `where` count as -inf and give `fill`."""
    x = real(name, x)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = () if x.ndim == 0 else tuple(axis_of(name, x, a) for a in axes)
    if where is None:
        return function(x, (axes,))
    mask = jnp.broadcast_to(jnp.asarray(where, bool), x.shape)
    return jnp.where(mask, function(jnp.where(mask, x, -jnp.inf), (axes,)), fill)


_softmax_along = along_axis("softmax", _softmax, keeps_output=True)
# In float32 the rounding error of exp(y) makes the second step useless.
_log_softmax_along = along_axis("log_softmax", _log_softmax, keeps_output=True, in_half=partial(_log_softmax, steps=2))


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> jax.Array:
    """exp(x) divided by its sum along an axis: a probability for each entry.

    Args:
        x: real array of any shape.
        axis: the axis or axes that sum to 1; None for all of them. Default: the last.
        where: booleans that broadcast to the shape of x; entries that are False are ignored. Default: all True.

    Returns:
        An array like x in [0, 1], 0 outside `where`. A row of -inf alone gives NaN; entries of +inf share the whole.

    Raises:
        ValueError: if an axis does not exist.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in softmax(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [0.089, 0.242, 0.012, 0.657]

    Reference:
        Boltzmann 1868; as an output layer Bridle 1990.
    """
    return _normalized("softmax", _softmax_along, x, axis, where, 0.0)


def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> jax.Array:
    """The logarithm of softmax along an axis, accurate also where it is close to 0.

    Args:
        x: real array of any shape.
        axis: the axis or axes of softmax; None for all of them. Default: the last.
        where: booleans that broadcast to the shape of x; entries that are False are ignored. Default: all True.

    Returns:
        An array like x in [-inf, 0], -inf outside `where`.

    Raises:
        ValueError: if an axis does not exist.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in log_softmax(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [-2.42, -1.42, -4.42, -0.42]

    Reference:
        Bridle 1990.
    """
    return _normalized("log_softmax", _log_softmax_along, x, axis, where, -jnp.inf)
