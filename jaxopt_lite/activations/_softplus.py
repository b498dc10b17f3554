"""The smooth rectifier, log(1 + exp(x))."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import negative_exp
from jaxopt_lite.activations._rule.elementwise import elementwise
from jaxopt_lite.activations._sigmoid import logistic, logistic_slope


def softplus_value(x: jax.Array) -> jax.Array:
    """log(1 + exp(x)) without overflow or cancellation."""
    return jnp.maximum(x, 0.0) + jnp.log1p(negative_exp(x))


_softplus = elementwise("softplus", softplus_value, logistic, curvature=logistic_slope)


def softplus(x: ArrayLike) -> jax.Array:
    """The smooth rectifier, log(1 + exp(x)), elementwise.

    x: real array of any shape; the result lies in (0, inf).

    Source: Dugas, Bengio, Bélisle, Nadeau and Garcia 2001.
    """
    return _softplus(x)
