"""Smooth functions without exponentials: squareplus and soft_sign."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import choice
from jaxopt_lite.activations._rule.arguments import not_negative
from jaxopt_lite.activations._rule.elementwise import elementwise

_TINY = 1e-37  # in place of 0 / 0 for b = 0
_FAR = 1e10  # beyond it x² might overflow


def _radius(x: jax.Array, b: jax.Array) -> jax.Array:
    """sqrt(x² + b); far out of x and b scaled by powers of two, which rounds nothing."""
    power = 520 if x.dtype == jnp.float64 else 66
    far = jnp.abs(x) > _FAR
    down, up = choice(far, 2.0**-power, 1.0, x), choice(far, 2.0**power, 1.0, x)
    a = x * down
    return jnp.sqrt(a * a + b * down * down) * up


def _finite(x: jax.Array) -> jax.Array:
    return jnp.minimum(x, float(jnp.finfo(x.dtype).max))


def _value(x: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.maximum(x, 0.0) + (0.5 * b) / jnp.maximum(_radius(x, b) + jnp.abs(x), _TINY)


def _slope(x: jax.Array, b: jax.Array) -> jax.Array:
    r = jnp.maximum(_radius(x, b), _TINY)
    return jnp.where(x < 0, (0.5 * b * (1.0 / r)) / (r + jnp.abs(x)), 0.5 + 0.5 * (_finite(x) / _finite(r)))


def _curvature(x: jax.Array, b: jax.Array) -> jax.Array:
    share = 1.0 / jnp.maximum(_radius(x, b), _TINY)  # XLA turns b / r / r into b / (r × r), which overflows
    return (0.5 * b * share) * share * share


_squareplus = elementwise(
    "squareplus",
    _value,
    _slope,
    lambda x, b: 0.25 / jnp.maximum(_radius(x, b), _TINY),
    curvature=_curvature,
)


def _shrinking(x: jax.Array) -> jax.Array:
    return 1.0 / (1.0 + jnp.abs(x))


_soft_sign = elementwise(
    "soft_sign",
    lambda x: jnp.where(jnp.isinf(x), jnp.sign(x), x / (1.0 + jnp.abs(x))),
    lambda x: _shrinking(x) * _shrinking(x),
    curvature=lambda x: choice(x < 0, 2.0, -2.0, x) * _shrinking(x) * _shrinking(x) * _shrinking(x),
)


def squareplus(x: ArrayLike, b: ArrayLike = 4.0) -> jax.Array:
    """(x + sqrt(x² + b)) / 2, elementwise: a smooth rectifier without exponentials.

    Args:
        x: real array of any shape; integers become floats.
        b: width of the bend, at least 0, which gives relu. A number or an array that broadcasts against x; may be
            traced and differentiated.

    Returns:
        An array like x, in [0, inf) with the default settings.

    Raises:
        ValueError: if b is a negative Python number.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in squareplus(jnp.array([-1.0, 0.0, 2.0]))]
        [0.618, 1.0, 2.414]

    Reference:
        Barron 2021.
    """
    not_negative("squareplus", b=b)
    return _squareplus(x, b)


def soft_sign(x: ArrayLike) -> jax.Array:
    """x / (1 + |x|), elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-1, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in soft_sign(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.5, 0.0, 0.667]

    Reference:
        Bergstra, Desjardins, Lamblin and Bengio 2009.
    """
    return _soft_sign(x)
