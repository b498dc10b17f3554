"""Functions with a wave in them: sine and snake."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.angle import wave
from jaxopt_lite.activations._numerics.two_terms import TwoTerms, product
from jaxopt_lite.activations._rule.arguments import positive
from jaxopt_lite.activations._rule.elementwise import elementwise

_sine = elementwise(
    "sine",
    lambda x: wave(x, None),
    lambda x: wave(x, None, eighths=2),
    curvature=lambda x: wave(x, None, eighths=4),
)


def _angle(x: jax.Array, alpha: jax.Array) -> TwoTerms:
    """alpha x and its rounding error (0 where it is too large to matter).

    Where alpha x overflows it is replaced by 0: next to so large an x the ripple does not show.
    """
    bounded, angle = jnp.clip(x, -1e30, 1e30), alpha * x
    low = jnp.where(jnp.abs(x) < 1e30, product(alpha, bounded).low, 0.0)
    return TwoTerms(jnp.where(jnp.isinf(angle), 0.0, angle), low)


def _snake_value(x: jax.Array, alpha: jax.Array) -> jax.Array:
    s = wave(*_angle(x, alpha))
    return jnp.where(jnp.isinf(x), x, x + s * (s / alpha))


def _snake_slope(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """1 + sin(2 v), v = alpha x, as 2 sin(v + pi/4)², which keeps its digits where it touches zero."""
    root = wave(*_angle(x, alpha), 1, 1)
    return 2.0 * (root * root)


def _snake_curvature(x: jax.Array, alpha: jax.Array) -> jax.Array:
    return 2.0 * alpha * wave(*_angle(x, alpha), 2, 2)


def _snake_by_alpha(x: jax.Array, alpha: jax.Array) -> jax.Array:
    v = _angle(x, alpha)
    s = wave(*v)
    return x * (wave(*v, 2) / alpha) - (s / alpha) * (s / alpha)


_snake = elementwise("snake", _snake_value, _snake_slope, _snake_by_alpha, curvature=_snake_curvature)


def sine(x: ArrayLike) -> jax.Array:
    """sin(x), elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-1, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in sine(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.841, 0.0, 0.909]

    Reference:
        Sitzmann, Martel, Bergman, Lindell and Wetzstein 2020 (SIREN, which scales x by 30 first).
    """
    return _sine(x)


def snake(x: ArrayLike, alpha: ArrayLike = 1.0) -> jax.Array:
    """x + sin(alpha x)² / alpha: the identity with ripples, for periodic targets.

    Args:
        x: real array of shape (..., channels); integers become floats.
        alpha: frequency of the ripples in radians per unit of x, positive. Scalar or shape (channels,); may be traced
            and learned.

    Returns:
        An array like x, in (-inf, inf) with the default settings.

    Raises:
        ValueError: if alpha is a Python number that is not positive, or too close to 0 or infinity for its reciprocal.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in snake(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.292, 0.0, 2.827]

    Reference:
        Ziyin, Hartwig and Ueda 2020.
    """
    positive("snake", alpha=alpha)
    return _snake(x, alpha)
