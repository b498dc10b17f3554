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
    return wider(dtype, jnp.float32)


@functools.cache
def wider(a: Any, b: Any) -> Any:
    """The dtype that both convert to without loss, under strict promotion too."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(a, b)


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
    """x² or, of a complex x, its squared modulus.

    Args:
        x: a floating or complex array.

    Returns:
        A real array of the same shape.

    Example:
        >>> float(square(jnp.array(3 + 4j)))
        25.0
    """
    if jnp.iscomplexobj(x):
        return jnp.square(jnp.real(x)) + jnp.square(jnp.imag(x))
    return x * x


# An exactly zero gradient (a dead unit) has a zero second moment, where the derivatives of √x and 1/x are infinite:
# times the zero derivative of the moment they would make every hyperparameter gradient NaN. Hence these functions take
# the derivative as 0 there. The values clamp their argument with a maximum, not with a select, whose two uses of x
# would make XLA:CPU store x.


@jax.custom_jvp
def root(x: jax.Array) -> jax.Array:
    """√x, with derivative 0 rather than infinite at 0.

    Args:
        x: a real array, not negative.

    Returns:
        The root, and the root of the smallest normal number instead of 0.

    Example:
        >>> float(jax.grad(root)(jnp.zeros(())))
        0.0
    """
    return jnp.sqrt(_above_zero(x))


@root.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    positive, safe = _positive(primals[0])
    return root(primals[0]), jnp.where(positive, 0.5 / jnp.sqrt(safe), 0) * tangents[0]


@jax.custom_jvp
def inverse_root(x: jax.Array) -> jax.Array:
    """1/√x, with derivative 0 and no infinity at 0.

    Args:
        x: a real array, not negative.

    Returns:
        The reciprocal of `root(x)`.

    Example:
        >>> float(inverse_root(jnp.array(4.0)))
        0.5
    """
    return jax.lax.rsqrt(_above_zero(x))


@inverse_root.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    positive, safe = _positive(primals[0])
    return inverse_root(primals[0]), jnp.where(positive, -0.5 * jax.lax.rsqrt(safe) / safe, 0) * tangents[0]


@jax.custom_jvp
def ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    """a/b, with derivative 0 with respect to b and no infinity at b = 0.

    Args:
        a: an array.
        b: a real array, not negative.

    Returns:
        The quotient, in which the smallest normal number stands for a `b` of 0.

    Example:
        >>> float(ratio(jnp.array(0.0), jnp.array(0.0)))
        0.0
    """
    return a / _above_zero(b)


@ratio.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    a, b = primals
    positive, safe = _positive(b)
    value = ratio(a, b)
    return value, tangents[0] / _above_zero(b) - jnp.where(positive, value / safe, 0) * tangents[1]


@jax.custom_jvp
def not_negative(x: jax.Array) -> jax.Array:
    """A number that only rounding can make negative, such as a variance: max(x, 0), with the derivative of x."""
    return jnp.maximum(x, 0)


@not_negative.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    return not_negative(primals[0]), tangents[0]


def _above_zero(x: jax.Array) -> jax.Array:
    return jnp.maximum(x, jnp.finfo(x.dtype).tiny)


def _positive(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    positive = x > jnp.finfo(x.dtype).tiny
    return positive, jnp.where(positive, x, 1)


@jax.custom_jvp
def one_minus_power(rest: jax.Array, t: jax.Array) -> jax.Array:
    """1 − (1 − rest)ᵗ without cancellation: the weight of all gradients in a mean with decay 1 − rest after t steps.

    Args:
        rest: the weight of the newest gradient, 1 − decay, in [0, 1]: the very number that the mean is updated with.
        t: the number of steps, 0, 1, 2, ... as a floating scalar. It has no derivative.

    Returns:
        The weight. Value and derivatives of every order are finite.

    Example:
        >>> round(float(one_minus_power(jnp.array(0.1), jnp.array(2.0))), 4)
        0.19
    """
    return jnp.where(t > 0, -jnp.expm1(jnp.maximum(t, 1) * jnp.log1p(-rest)), 0)


@one_minus_power.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    rest, t = primals
    # t·(1 − rest)ᵗ⁻¹. At rest = 1 differentiating the formula itself would give 0·∞.
    slope = t * (1 - one_minus_power(rest, jnp.maximum(t - 1, 0)))
    return one_minus_power(rest, t), slope * tangents[0]


def next_count(count: jax.Array) -> jax.Array:
    """count + 1, which stays at the largest int32 instead of going round."""
    return jax.lax.min(count, np.int32(LAST - 1)) + np.int32(1)
