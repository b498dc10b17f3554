"""Exponential linear units: the identity for positive x, an exponential approach to a floor for negative x."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._elementwise import elementwise
from jaxopt_lite.activations._exponential import negative_expm1, times_exp

_ALPHA = 1.6732632423543772848170429916717
_SCALE = 1.0507009873554804934193349852946


def _elu_value(x: jax.Array, alpha: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, alpha * negative_expm1(jnp.minimum(x, 0.0)))


def _elu_slope(x: jax.Array, alpha: jax.Array) -> jax.Array:
    return jnp.where(x > 0, 1.0, _elu_bend(x, alpha))


def _elu_curvature(x: jax.Array, alpha: jax.Array) -> jax.Array:
    return jnp.where(x > 0, 0.0, _elu_bend(x, alpha))


def _elu_bend(x: jax.Array, alpha: jax.Array | float) -> jax.Array:
    return times_exp(alpha, jnp.minimum(x, 0.0))


_elu = elementwise(
    "elu",
    _elu_value,
    _elu_slope,
    lambda x, alpha: negative_expm1(jnp.minimum(x, 0.0)),
    curvature=_elu_curvature,
)
_selu = elementwise(
    "selu",
    lambda x: _SCALE * jnp.where(x > 0, x, _ALPHA * negative_expm1(jnp.minimum(x, 0.0))),
    lambda x: jnp.where(x > 0, _SCALE, _elu_bend(x, _SCALE * _ALPHA)),
    curvature=lambda x: jnp.where(x > 0, 0.0, _elu_bend(x, _SCALE * _ALPHA)),
)


def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> jax.Array:
    """The exponential linear unit: x where x > 0, alpha (exp(x) - 1) elsewhere.

    x: real array of any shape; the result lies in [-alpha, inf). alpha: a number or an array that broadcasts against
    x; may be traced and differentiated. The slope at 0 is alpha, as in `jax.nn`.

    Source: Clevert, Unterthiner and Hochreiter 2015.
    """
    return _elu(x, alpha)


def selu(x: ArrayLike) -> jax.Array:
    """The scaled exponential linear unit, 1.0507 elu(x, 1.6733), elementwise.

    x: real array of any shape; the result lies in [-1.758, inf). The constants make zero mean and unit variance a
    fixed point of a layer with LeCun-normal weights.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter 2017.
    """
    return _selu(x)
