"""Softmax and its logarithm along an axis."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.two_terms import total
from jaxopt_lite.activations._rule.arguments import real
from jaxopt_lite.activations._rule.axis import widened

Axis: TypeAlias = int | tuple[int, ...] | None


def _first_largest(x: jax.Array) -> jax.Array:
    """True at the first largest entry of the last axis."""
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1) == jnp.argmax(x, -1, keepdims=True)


def _shifted(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x - max x rounded, and exp of it unrounded: the difference's own rounding error would cost |x - max x| ulp."""
    top = jnp.max(x, -1, keepdims=True)
    difference = total(x, -top)
    low = jnp.where(jnp.isfinite(x) & jnp.isfinite(top), difference.low, 0.0)
    high = jnp.where((x == top) & (top > -jnp.inf), 0.0, difference.high)
    return high, jnp.exp(high) * (1.0 + low)


def _tangent(x: jax.Array, y: jax.Array, t: jax.Array) -> jax.Array:
    """t - Σ y t, from t less its value at the largest entry: that drops the one y close to 1, which would cancel."""
    t = t - jnp.sum(jnp.where(_first_largest(x), t, 0.0), -1, keepdims=True)
    return t - jnp.sum(y * t, -1, keepdims=True)


@jax.custom_jvp
def _softmax(x: jax.Array) -> jax.Array:
    _, e = _shifted(x)
    return e / jnp.sum(e, -1, keepdims=True)


@_softmax.defjvp
def _softmax_rule(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    y = _softmax(*primals)
    return y, y * _tangent(primals[0], y, tangents[0])


@jax.custom_jvp
def _log_softmax(x: jax.Array) -> jax.Array:
    difference, e = _shifted(x)
    others = jnp.sum(jnp.where(_first_largest(x), 0.0, e), -1, keepdims=True)
    return difference - jnp.log1p(others)


@_log_softmax.defjvp
def _log_softmax_rule(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    return _log_softmax(*primals), _tangent(primals[0], _softmax(*primals), tangents[0])


def _along(x: jax.Array, function: Callable[[jax.Array], jax.Array], axes: tuple[int, ...]) -> jax.Array:
    """The function over the given axes, brought to the end as one."""
    last = tuple(range(-len(axes), 0))
    moved = jnp.moveaxis(x, axes, last)
    flat = moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)
    return jnp.moveaxis(function(flat).reshape(moved.shape), last, axes)


def _normalized(name: str, x: ArrayLike, axis: Axis, where: ArrayLike | None, fill: float) -> jax.Array:
    """Check, then apply the wide function `name`; entries outside `where` count as -inf and give `fill`."""
    x = real(name, x)
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if any(not -x.ndim <= a < x.ndim for a in axes):
        raise ValueError(f"{name}: x of shape {x.shape} has no axis {axis}; give an axis it has, or None for all")
    function = _softmax if name == "softmax" else _log_softmax
    if where is None:
        return widened(_along, x, (function, axes))
    mask = jnp.broadcast_to(jnp.asarray(where, bool), x.shape)
    return jnp.where(mask, widened(_along, jnp.where(mask, x, -jnp.inf), (function, axes)), fill)


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> jax.Array:
    """exp(x) divided by its sum along an axis: a probability for each entry.

    x: real array. axis: the axis or axes that sum to 1, all of them for None. where: booleans that broadcast to the
    shape of x; entries left out get 0. The result lies in [0, 1]; a row of -inf alone gives NaN; entries of +inf share
    the whole, which is the limit.

    Source: Boltzmann 1868; as an output layer Bridle 1990.
    """
    return _normalized("softmax", x, axis, where, 0.0)


def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> jax.Array:
    """The logarithm of softmax along an axis, accurate also where it is close to 0.

    x: real array. axis: the axis or axes of softmax, all of them for None. where: booleans that broadcast to the shape
    of x; entries left out get -inf. The result lies in [-inf, 0].

    Source: Bridle 1990.
    """
    return _normalized("log_softmax", x, axis, where, -jnp.inf)
