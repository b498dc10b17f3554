"""Functions with a wave in them: sine and snake."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._argument import positive
from jaxopt_lite.activations._elementwise import elementwise
from jaxopt_lite.activations._two_terms import TwoTerms, constant, product, total

_MODERATE = 4e3  # up to it, adding pi/4 loses no more than the second term can make up for
_HUGE = 1.7e38  # twice that is no float32
# Of all float32 numbers beyond, the one whose double is closest to a multiple of 2 pi, and what it is off by.
_HALF_PERIODS, _HALF_PERIODS_OFF = 2.5229175724488532e38, -9.24989990348e-8

_sine = elementwise("sine", jnp.sin, jnp.cos, curvature=lambda x: -jnp.sin(x))


def _angle(x: jax.Array, alpha: jax.Array) -> TwoTerms:
    """alpha x, and what its rounding loses (nothing, where it is so large that it matters no more)."""
    bounded = jnp.clip(x, -1e30, 1e30)
    return TwoTerms(alpha * x, jnp.where(jnp.abs(x) < 1e30, product(alpha, bounded).low, 0.0))


def _sin_cos(v: TwoTerms) -> tuple[jax.Array, jax.Array]:
    s, c = jnp.sin(v.high), jnp.cos(v.high)
    return s + c * v.low, c - s * v.low


def _snake_value(x: jax.Array, alpha: jax.Array) -> jax.Array:
    s, _ = _sin_cos(_angle(x, alpha))
    return jnp.where(jnp.isinf(x), x, x + s * (s / alpha))


def _snake_slope(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """1 + sin(2 v), v = alpha x, as 2 sin(v + pi/4)², which keeps its digits where it touches zero."""
    v, quarter = _angle(x, alpha), constant(math.pi / 4, x)
    turned = total(v.high, quarter.high + jnp.zeros_like(v.high))
    small = jnp.abs(v.high) < _MODERATE
    s, c = _sin_cos(TwoTerms(jnp.where(small, turned.high, v.high), v.low + jnp.where(small, turned.low, 0.0)))
    root = jnp.where(small, s + c * quarter.low, s + c)
    return jnp.where(small, 2.0, 1.0) * (root * root)


def _snake_curvature(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """2 alpha cos(2 v); where 2 v would overflow, 2 (v - M) takes its place, for a float32 M that is half a period."""
    v = _angle(x, alpha)
    if v.high.dtype == jnp.float64:
        return 2.0 * alpha * _sin_cos(TwoTerms(2.0 * v.high, 2.0 * v.low))[1]
    size = jnp.abs(v.high)
    near = size < _HUGE
    high = 2.0 * jnp.where(near, size, size - _HALF_PERIODS)
    low = jnp.where(near, 2.0 * v.low * jnp.sign(v.high), _HALF_PERIODS_OFF)
    return 2.0 * alpha * _sin_cos(TwoTerms(high, low))[1]


def _snake_by_alpha(x: jax.Array, alpha: jax.Array) -> jax.Array:
    s, c = _sin_cos(_angle(x, alpha))
    return x * (2.0 * s * c / alpha) - (s / alpha) * (s / alpha)


_snake = elementwise("snake", _snake_value, _snake_slope, _snake_by_alpha, curvature=_snake_curvature)


def sine(x: ArrayLike) -> jax.Array:
    """sin(x), elementwise.

    x: real array of any shape, in radians; the result lies in [-1, 1].

    Source: Sitzmann, Martel, Bergman, Lindell and Wetzstein 2020 (SIREN, which scales x by 30 first).
    """
    return _sine(x)


def snake(x: ArrayLike, alpha: ArrayLike = 1.0) -> jax.Array:
    """x + sin(alpha x)² / alpha: the identity with ripples, for periodic targets.

    x: real array of shape (..., channels). alpha > 0: the frequency, scalar or shape (channels,); may be learned. A
    Python number that is not positive is a ValueError.

    Source: Ziyin, Hartwig and Ueda 2020.
    """
    positive("snake", alpha=alpha)
    return _snake(x, alpha)
