"""Softmax along an axis, summing and dividing in float32 whatever the input."""

from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._argument import real
from jaxopt_lite.activations._two_terms import total

Axis: TypeAlias = int | tuple[int, ...] | None


def _shifted_exp(x: jax.Array, where: jax.Array | None, axis: Axis) -> jax.Array:
    """exp(x - max x); the difference as two terms, since its rounding error alone costs |x - max x| ulp."""
    x = x if where is None else jnp.where(where, x, -jnp.inf)
    top = jnp.max(x, axis, keepdims=True, initial=-jnp.inf, where=where)
    difference = total(x, -top)
    finite = jnp.isfinite(x) & jnp.isfinite(top)
    return jnp.exp(difference.high) * (1.0 + jnp.where(finite, difference.low, 0.0))


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _wide(x: jax.Array, where: jax.Array | None, axis: Axis) -> jax.Array:
    """Softmax in the dtype of x."""
    e = _shifted_exp(x, where, axis)
    y = e / jnp.sum(e, axis, keepdims=True)
    return y if where is None else jnp.where(where, y, 0.0)


@_wide.defjvp
def _wide_rule(axis: Axis, primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    y = _wide(*primals, axis)
    t = tangents[0]
    return y, y * (t - jnp.sum(y * t, axis, keepdims=True))


def _up(x: jax.Array) -> jax.Array:
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _kept(x: jax.Array, where: jax.Array | None, axis: Axis) -> jax.Array:
    """Softmax that keeps x for the backward pass: an output rounded to half precision would spoil the derivative."""
    return _wide(_up(x), where, axis).astype(x.dtype)


@_kept.defjvp
def _kept_rule(axis: Axis, primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    def tangent(x: jax.Array, where: jax.Array | None, t: jax.Array) -> jax.Array:
        y, t = _wide(_up(x), where, axis), _up(t)
        return (y * (t - jnp.sum(y * t, axis, keepdims=True))).astype(x.dtype)

    linear = jax.checkpoint(tangent, prevent_cse=False)
    return _kept(*primals, axis), linear(*primals, tangents[0])


_softmax = jax.jit(_kept, static_argnums=(2,), inline=True)


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> jax.Array:
    """exp(x) divided by its sum along an axis: a probability for each entry.

    x: real array. axis: the axis or axes that sum to 1, all of them for None. where: booleans that
    broadcast to the shape of x; entries left out get 0. The result lies in [0, 1].

    Source: Boltzmann 1868; as an output layer Bridle 1990.
    """
    mask = None if where is None else jnp.broadcast_to(jnp.asarray(where, bool), jnp.shape(x))
    return _softmax(real("softmax", x), mask, axis)
