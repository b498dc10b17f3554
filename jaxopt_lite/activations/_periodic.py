"""Functions with a wave in them: sine and snake."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._argument import positive
from jaxopt_lite.activations._elementwise import elementwise
from jaxopt_lite.activations._two_terms import product

_sine = elementwise("sine", jnp.sin, jnp.cos, curvature=lambda x: -jnp.sin(x))


def _wave(x: jax.Array, alpha: jax.Array) -> tuple[jax.Array, jax.Array]:
    """sin and cos of alpha x, of which the product is taken as two terms."""
    low = jnp.where(jnp.abs(x) < 1e30, product(alpha, jnp.clip(x, -1e30, 1e30)).low, 0.0)
    s, c = jnp.sin(alpha * x), jnp.cos(alpha * x)
    return s + c * low, c - s * low


def _snake_value(x: jax.Array, alpha: jax.Array) -> jax.Array:
    s, _ = _wave(x, alpha)
    return x + s * (s / alpha)


def _snake_slope(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """1 + sin(2 alpha x), as a square, which keeps its digits where it is small."""
    s, c = _wave(x, alpha)
    return (s + c) * (s + c)


def _snake_curvature(x: jax.Array, alpha: jax.Array) -> jax.Array:
    s, c = _wave(x, alpha)
    return 2.0 * alpha * ((c - s) * (c + s))


def _snake_by_alpha(x: jax.Array, alpha: jax.Array) -> jax.Array:
    s, c = _wave(x, alpha)
    return (s / alpha) * (2.0 * x * c - s / alpha)


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
