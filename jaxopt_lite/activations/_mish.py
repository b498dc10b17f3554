"""Mish: x tanh(softplus(x))."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._elementwise import elementwise
from jaxopt_lite.activations._exponential import scaled_exp

_END = 200.0  # exp(-200) is zero in float32
_END_WIDE = 1500.0  # and exp(-1500) in float64


class _Parts(NamedTuple):
    """With e = exp(-|x|): T = tanh(softplus(x)), q = 1 - T², both over (e × scale) where they vanish with it.

    For x < 0 every derivative has a factor e, which is taken out (T = tanh × e); for x ≥ 0 only q has one, e².
    """

    negative: jax.Array
    x: jax.Array
    e: jax.Array
    scale: jax.Array
    small: jax.Array
    tanh: jax.Array
    rest: jax.Array


def _parts(x: jax.Array) -> _Parts:
    end = _END_WIDE if x.dtype == jnp.float64 else _END
    bounded = jnp.clip(x, -end, end)
    e, scale = scaled_exp(-jnp.abs(bounded))
    small = e * scale
    negative = x < 0
    below, above = small * (small + 2.0), 1.0 + 2.0 * small
    tanh = jnp.where(negative, (small + 2.0) / (below + 2.0), above / (above + 2.0 * small * small))
    denominator = jnp.where(negative, below + 2.0, above + 2.0 * small * small)
    rest = jnp.where(
        negative,
        (2.0 / denominator) * ((2.0 * below + 2.0) / denominator),
        (2.0 * small / denominator) * ((2.0 + 4.0 * small + 2.0 * small * small) / denominator),
    )
    return _Parts(negative, bounded, e, scale, small, tanh, rest)


def _value(x: jax.Array) -> jax.Array:
    p = _parts(x)
    return jnp.where(p.negative, (p.x * p.tanh * p.e) * p.scale, x * p.tanh)


def _slope(x: jax.Array) -> jax.Array:
    """T + x q s, with s the logistic function."""
    p = _parts(x)
    h = 1.0 + p.small
    below = ((p.tanh + p.x * (p.rest / h)) * p.e) * p.scale
    return jnp.where(p.negative, below, p.tanh + (p.x * p.small) * (p.rest / h))


def _curvature(x: jax.Array) -> jax.Array:
    """q s (2 + x (1 - s - 2 T s))."""
    p = _parts(x)
    h = 1.0 + p.small
    s, opposite = jnp.where(p.negative, p.small, 1.0) / h, jnp.where(p.negative, 1.0, p.small) / h
    tanh = jnp.where(p.negative, p.tanh * p.small, p.tanh)
    return ((p.rest / h * (2.0 + p.x * (opposite - 2.0 * tanh * s))) * p.e) * p.scale


_mish = elementwise("mish", _value, _slope, curvature=_curvature)


def mish(x: ArrayLike) -> jax.Array:
    """x tanh(log(1 + exp(x))), elementwise.

    x: real array of any shape; the result lies in [-0.309, inf).

    Source: Misra 2019.
    """
    return _mish(x)
