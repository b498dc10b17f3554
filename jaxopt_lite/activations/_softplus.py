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

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in softplus(jnp.array([-1.0, 0.0, 2.0]))]
        [0.313, 0.693, 2.127]

    Reference:
        Dugas, Bengio, Bélisle, Nadeau and Garcia 2001.
    """
    return _softplus(x)
