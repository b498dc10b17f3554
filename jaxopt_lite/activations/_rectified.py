"""Rectifiers: straight on both sides of a kink, so that one bit an element is all a backward pass needs."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._argument import real
from jaxopt_lite.activations._elementwise import elementwise

_relu = elementwise(
    "relu",
    lambda x: jnp.maximum(x, 0.0),
    lambda on: jnp.where(on, 1.0, 0.0),
    bits=lambda x: x > 0,
)
_leaky_relu = elementwise(
    "leaky_relu",
    lambda x, a: jnp.where(x >= 0, x, a * x),
    lambda on, a: jnp.where(on, 1.0, a),
    lambda x, a: jnp.minimum(x, 0.0),
    bits=lambda x, a: x >= 0,
)
_prelu = elementwise(
    "prelu",
    lambda x, a: jnp.where(x >= 0, x, a * x),
    lambda on, a: jnp.where(on, 1.0, a),
    lambda x, a: jnp.minimum(x, 0.0),
    bits=lambda x, a: x >= 0,
)
_binary_step = elementwise(
    "binary_step",
    lambda x: jnp.where(x >= 0, 1.0, jnp.where(x < 0, 0.0, x)),
    lambda on: jnp.where(on, 0.0, 0.0),
    bits=lambda x: x >= 0,
)


def identity(x: ArrayLike) -> jax.Array:
    """x itself, elementwise; integers become floats.

    x: real array of any shape.
    """
    return real("identity", x)


def relu(x: ArrayLike) -> jax.Array:
    """The rectified linear unit, max(x, 0), elementwise; its slope at 0 is 0, as in `jax.nn`.

    x: real array of any shape; the result lies in [0, inf).

    Source: Fukushima 1969; Nair and Hinton 2010.
    """
    return _relu(x)


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> jax.Array:
    """x where x ≥ 0, negative_slope × x elsewhere; its slope at 0 is 1, as in `jax.nn`.

    x: real array of any shape. negative_slope: a number, or an array that broadcasts against x; may be traced and
    differentiated.

    Source: Maas, Hannun and Ng 2013.
    """
    return _leaky_relu(x, negative_slope)


def prelu(x: ArrayLike, negative_slope: ArrayLike = 0.25) -> jax.Array:
    """`leaky_relu` with a learned slope, one number for each channel (the last axis of x) or one for all.

    x: real array of shape (..., channels). negative_slope: scalar or shape (channels,); 0.25 is the authors' start.

    Source: He, Zhang, Ren and Sun 2015.
    """
    return _prelu(x, negative_slope)


def binary_step(x: ArrayLike) -> jax.Array:
    """1 where x ≥ 0 and 0 elsewhere, elementwise; the derivative is 0 everywhere, so nothing can be learned through it.

    x: real array of any shape; the result is 0 or 1 in the dtype of x.

    Source: McCulloch and Pitts 1943; Rosenblatt 1958.
    """
    return _binary_step(x)
