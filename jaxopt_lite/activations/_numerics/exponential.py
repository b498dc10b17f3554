"""Exponentials that keep their relative accuracy: near zero, in products that outlive exp(x), of a two-term sum."""

import math
from typing import Any

import jax
import jax.numpy as jnp

# expm1(x) = x + x² q(x) on [-1, 0]; Chebyshev fit of q weighted by the relative error, 1e-10 in exact arithmetic.
_EXPM1 = (
    0.5,
    0.16666653752326965,
    0.041665542870759964,
    0.008328656665980816,
    0.0013784406473860145,
    0.00018539158918429166,
    1.6050442354753613e-05,
)


def choice(condition: jax.Array, a: float, b: float, like: jax.Array) -> jax.Array:
    """`a` where the condition holds and `b` elsewhere, in the dtype of `like`; jnp.where of two Python numbers would be
    float64 under x64."""
    return jnp.where(condition, a, jnp.full_like(like, b))


def horner(coefficients: tuple[Any, ...], x: jax.Array) -> jax.Array:
    """The polynomial with these coefficients, lowest power first."""
    total = coefficients[-1] * x + coefficients[-2]
    for c in coefficients[-3::-1]:
        total = total * x + c
    return total


def negative_exp(x: jax.Array) -> jax.Array:
    """exp(-|x|), which cannot overflow."""
    return jnp.exp(-jnp.abs(x))


def negative_expm1(x: jax.Array) -> jax.Array:
    """exp(x) - 1 for x ≤ 0, within 1.5 ulp (XLA's own float32 expm1 is off by up to 4.9)."""
    if x.dtype == jnp.float64:
        return jnp.expm1(x)
    near = jnp.maximum(x, -1.0)
    return jnp.where(x < -1.0, jnp.exp(x) - 1.0, near + near * near * horner(_EXPM1, near))


def scaled_exp(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """exp(x) for x ≤ 0 as a pair (e, scale) with exp(x) = e × scale.

    (a × e) × scale is right also where exp(x) is flushed to zero though a × exp(x) is a normal number.
    """
    start, shift = (-600.0, 300.0) if x.dtype == jnp.float64 else (-80.0, 40.0)
    far = x < start
    return jnp.exp(jnp.where(far, x + shift, x)), choice(far, math.exp(-shift), 1.0, x)


def times_exp(a: jax.Array | float, x: jax.Array) -> jax.Array:
    """a × exp(x) for x ≤ 0, right where exp(x) alone is flushed to zero."""
    e, scale = scaled_exp(x)
    return (a * e) * scale
