"""The hyperbolic tangent and its relatives."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._elementwise import elementwise
from jaxopt_lite.activations._exponential import negative_exp


def tanh_slope(x: jax.Array) -> jax.Array:
    """1 - tanh(x)² without the cancellation: the square of 2 exp(-|x|) / (1 + exp(-2|x|))."""
    e = negative_exp(x)
    h = 2.0 * e / (1.0 + e * e)
    return h * h


def tanh_curvature(x: jax.Array) -> jax.Array:
    """The second derivative of tanh."""
    return -2.0 * jnp.tanh(x) * tanh_slope(x)


_tanh = elementwise("tanh", jnp.tanh, tanh_slope, curvature=tanh_curvature)


def tanh(x: ArrayLike) -> jax.Array:
    """The hyperbolic tangent, elementwise.

    x: real array of any shape; the result lies in [-1, 1]. The derivatives keep full accuracy in both tails, where
    1 - tanh(x)² is zero in floating point from |x| = 8 on.

    Source: LeCun, Bottou, Orr and Müller 1998, Efficient BackProp.
    """
    return _tanh(x)
