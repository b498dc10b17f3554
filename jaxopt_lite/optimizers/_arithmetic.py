"""Arithmetic that keeps its meaning in every dtype and under every derivative."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LAST = 2**31 - 1


@functools.cache
def working(dtype: Any) -> Any:
    """The dtype to calculate in: float32 for half precision, else the dtype itself."""
    return jnp.promote_types(dtype, jnp.float32)


def flat(tree: Any) -> tuple[list[Any], Any]:
    """The leaves and the structure."""
    leaves, treedef = jax.tree.flatten(tree)
    return leaves, treedef


def cast(x: Any, kind: Any) -> Any:
    """`x` in the dtype; itself if it is (an eager `astype` that does nothing costs as much as an addition)."""
    return x if x.dtype == kind else x.astype(kind)


def widened(tree: Any) -> Any:
    """The tree with its floating leaves in their working dtype."""
    return jax.tree.map(lambda x: cast(x, working(x.dtype)) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree)


@functools.cache
def real(dtype: Any) -> Any:
    """The dtype of a modulus."""
    return jnp.finfo(dtype).dtype


def square(x: jax.Array) -> jax.Array:
    """x² or, of a complex x, its squared modulus."""
    if jnp.iscomplexobj(x):
        return jnp.square(jnp.real(x)) + jnp.square(jnp.imag(x))
    return x * x


def root(x: jax.Array) -> jax.Array:
    """√x, with derivative 0 rather than infinite at 0, and never quite 0."""
    # An exactly zero gradient (a dead unit) has a zero second moment, where the derivative of √ is infinite:
    # times the zero derivative of the moment it would make every hyperparameter gradient NaN.
    return jnp.sqrt(_above_zero(x))


def inverse_root(x: jax.Array) -> jax.Array:
    """1/√x, with derivative 0 and no infinity at 0."""
    return jax.lax.rsqrt(_above_zero(x))


def _above_zero(x: jax.Array) -> jax.Array:
    # Not a select: its two uses of x make XLA:CPU keep x in memory of its own.
    return jnp.maximum(x, jnp.finfo(x.dtype).tiny)


def one_minus_power(rest: jax.Array, t: jax.Array) -> jax.Array:
    """1 − (1 − rest)ᵗ without cancellation: `rest` is the same number, 1 − decay, that the moment is fed with."""
    return -jnp.expm1(t * jnp.log1p(-rest))


def next_count(count: jax.Array) -> jax.Array:
    """count + 1, which stays at the largest int32 instead of going round."""
    return jax.lax.min(count, np.int32(LAST - 1)) + np.int32(1)
