"""The sigmoid-weighted linear unit, x × logistic(x)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._elementwise import elementwise
from jaxopt_lite.activations._exponential import negative_exp, times_exp


def _silu_value(x: jax.Array) -> jax.Array:
    e = negative_exp(x)
    return jnp.where(x < 0, times_exp(jnp.maximum(x, -200.0), -jnp.abs(x)), x) / (1.0 + e)


def _silu_slope(x: jax.Array) -> jax.Array:
    a = jnp.minimum(jnp.abs(x), 200.0)
    e = jnp.exp(-a)
    h = 1.0 + e
    return jnp.where(x < 0, times_exp((h - a) / h, -a) / h, (h + a * e) / h / h)


def _silu_curvature(x: jax.Array) -> jax.Array:
    a = jnp.minimum(jnp.abs(x), 200.0)
    e = jnp.exp(-a)
    h = 1.0 + e
    return times_exp((2.0 - a * ((1.0 - e) / h)) / h, -a) / h


_silu = elementwise("silu", _silu_value, _silu_slope, curvature=_silu_curvature)


def silu(x: ArrayLike) -> jax.Array:
    """The sigmoid-weighted linear unit, also called swish: x / (1 + exp(-x)), elementwise.

    x: real array of any shape; the result lies in [-0.279, inf).

    Source: Elfwing, Uchibe and Doya 2017; Ramachandran, Zoph and Le 2017.
    """
    return _silu(x)
