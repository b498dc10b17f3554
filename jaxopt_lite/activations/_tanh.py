"""The hyperbolic tangent and its relatives."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._elementwise import elementwise


def squared_sech(x: jax.Array, factor: float, shift: float) -> jax.Array:
    """factor × (1 - tanh(x)²) without the cancellation: 4 e / (1 + e)² with e = exp(-2|x|).

    e is flushed to zero a little before factor × 4 e is, so exp(shift - 2|x|) is taken instead; for a small integer
    shift the sum is exact wherever its rounding would matter. Neither a select nor exp(-|x|)², which XLA turns into a
    second exp, is as fast.
    """
    e = jnp.exp(shift - 2.0 * jnp.abs(x))
    h = 1.0 + e * math.exp(-shift)
    return e * (4.0 * factor * math.exp(-shift) / (h * h))


def tanh_slope(x: jax.Array) -> jax.Array:
    """The derivative of tanh."""
    return squared_sech(x, 1.0, 2.0)


def tanh_curvature(x: jax.Array) -> jax.Array:
    """The second derivative of tanh."""
    return jnp.tanh(x) * squared_sech(x, -2.0, 3.0)


_tanh = elementwise("tanh", jnp.tanh, tanh_slope, curvature=tanh_curvature)


def tanh(x: ArrayLike) -> jax.Array:
    """The hyperbolic tangent, elementwise.

    x: real array of any shape; the result lies in [-1, 1]. The derivatives keep full accuracy in both tails, where
    1 - tanh(x)² is zero in floating point from |x| = 8 on.

    Source: LeCun, Bottou, Orr and Müller 1998, Efficient BackProp.
    """
    return _tanh(x)
