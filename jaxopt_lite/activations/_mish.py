"""Mish: x tanh(softplus(x))."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import horner, scaled_exp
from jaxopt_lite.activations._rule.elementwise import elementwise

_END = 200.0  # exp(-200) is zero in float32
_END_WIDE = 1500.0  # and exp(-1500) in float64


class _Decay(NamedTuple):
    """exp(-|x|) as e × scale and as their product; x bounded; and a denominator that all three formulas share.

    mish = x E (E + 2) / D with E = exp(x), D = E² + 2 E + 2. The derivatives are polynomials in E and x over D² and
    D³; for x ≥ 0 numerator and denominator are divided by the power of E that rules them. Coefficients as 4(x + 1) are
    exact where they vanish, which keeps the digits near the roots.
    """

    negative: jax.Array
    x: jax.Array
    e: jax.Array
    scale: jax.Array
    small: jax.Array
    below: jax.Array


def _decay(x: jax.Array) -> _Decay:
    end = _END_WIDE if x.dtype == jnp.float64 else _END
    x = jnp.clip(x, -end, end)
    e, scale = scaled_exp(-jnp.abs(x))
    small = e * scale
    negative = x < 0
    denominator = jnp.where(negative, 2.0 + small * (2.0 + small), 1.0 + small * (2.0 + 2.0 * small))
    return _Decay(negative, x, e, scale, small, denominator)


def _value(x: jax.Array) -> jax.Array:
    d = _decay(x)
    tanh = jnp.where(d.negative, 2.0 + d.small, 1.0 + 2.0 * d.small) / d.below
    return _falling(d, jnp.where(d.negative, d.x, x) * tanh)


def _falling(d: _Decay, y: jax.Array) -> jax.Array:
    """y, for x < 0 times exp(x). The quotient in y is used once: XLA would store it between two branches."""
    return (y * jnp.where(d.negative, d.e, 1.0)) * jnp.where(d.negative, d.scale, 1.0)


def _slope(x: jax.Array) -> jax.Array:
    d = _decay(x)
    linear, slower = 4.0 * (d.x + 1.0), 4.0 * d.x + 6.0
    below = horner((linear, slower, 4.0, 1.0), d.small)
    above = horner((1.0, 4.0, slower, linear), d.small)
    return _falling(d, jnp.where(d.negative, below, above) / (d.below * d.below))


def _curvature(x: jax.Array) -> jax.Array:
    d = _decay(x)
    c = (8.0 * (d.x + 2.0), 8.0 * (d.x + 4.0), 12.0 * (2.0 - d.x), 8.0 * (1.0 - d.x))
    below, above = _even_odd(c, d.small), _even_odd(c[::-1], d.small) * d.small
    return (jnp.where(d.negative, below, above) / (d.below * d.below * d.below) * d.e) * d.scale


def _even_odd(c: tuple[jax.Array, ...], x: jax.Array) -> jax.Array:
    """The cubic with these coefficients, lowest power first: fewer roundings one after the other than `horner`."""
    square = x * x
    return (c[0] + square * c[2]) + x * (c[1] + square * c[3])


_mish = elementwise("mish", _value, _slope, curvature=_curvature)


def mish(x: ArrayLike) -> jax.Array:
    """x tanh(log(1 + exp(x))), elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-0.309, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in mish(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.303, 0.0, 1.944]

    Reference:
        Misra 2019.
    """
    return _mish(x)
