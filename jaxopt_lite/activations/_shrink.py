"""Shrinkage: functions that pull small inputs to zero."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import horner
from jaxopt_lite.activations._rule.arguments import not_negative
from jaxopt_lite.activations._rule.elementwise import elementwise
from jaxopt_lite.activations._rule.pieces import Pieces
from jaxopt_lite.activations._tanh import squared_sech

# tanh(x) = x - x³ P(x²) for |x| ≤ 1.1: Chebyshev fit of P weighted by the relative error of x³ P.
_CUBIC = (
    0.3333333432674408,
    -0.1333332508802414,
    0.053966276347637177,
    -0.021852456033229828,
    0.008788134902715683,
    -0.0034004240296781063,
    0.001153806340880692,
    -0.00028553817537613213,
    3.595493035390973e-05,
)
_NEAR = 1.1
# The Taylor series of the same P, for float64 and |x| ≤ 0.3.
_SERIES = (
    1 / 3,
    -2 / 15,
    17 / 315,
    -62 / 2835,
    1382 / 155925,
    -21844 / 6081075,
    929569 / 638512875,
    -6404582 / 10854718875,
    443861162 / 1856156927625,
    -18888466084 / 194896477400625,
    113927491862 / 2900518163668125,
)
_NEAR_WIDE = 0.3


def _tanh_excess(x: jax.Array) -> jax.Array:
    """x - tanh(x), without the cancellation near zero."""
    if x.dtype == jnp.float64:
        near = jnp.clip(x, -_NEAR_WIDE, _NEAR_WIDE)
        square = near * near
        return jnp.where(jnp.abs(x) <= _NEAR_WIDE, near * square * horner(_SERIES, square), x - jnp.tanh(x))
    near = jnp.clip(x, -_NEAR, _NEAR)
    square = near * near
    a = jnp.abs(x)
    far = (a - 1.0) + 2.0 / (1.0 + jnp.exp(2.0 * a))
    return jnp.where(a <= _NEAR, near * square * horner(_CUBIC, square), jnp.where(x < 0, -far, far))


def _tanh_near(x: jax.Array) -> jax.Array:
    """tanh within 2 ulp, for its square is wanted."""
    if x.dtype == jnp.float64:
        return jnp.tanh(x)
    a = jnp.abs(x)
    near = jnp.minimum(a, _NEAR)
    square = near * near
    size = jnp.where(a <= _NEAR, near - near * square * horner(_CUBIC, square), 1.0 - 2.0 / (1.0 + jnp.exp(2.0 * a)))
    return jnp.where(x < 0, -size, size)


_softshrink = elementwise(
    "softshrink",
    lambda x, lambd: x - jnp.clip(x, -lambd, lambd),
    Pieces(lambda x, lambd: jnp.abs(x) > lambd),
    Pieces(lambda x, lambd: jnp.abs(x) > lambd, lambda x, lambd: -jnp.sign(x)),
    keeps_mask=True,
)
_hardshrink = elementwise(
    "hardshrink",
    lambda x, lambd: jnp.where(jnp.abs(x) <= lambd, 0.0, x),
    Pieces(lambda x, lambd: jnp.abs(x) > lambd),
    0.0,
    keeps_mask=True,
)
_tanhshrink = elementwise(
    "tanhshrink",
    _tanh_excess,
    lambda x: _tanh_near(x) * _tanh_near(x),
    curvature=lambda x: _tanh_near(x) * squared_sech(x, 2.0, 3.0),
)


def softshrink(x: ArrayLike, lambd: ArrayLike = 0.5) -> jax.Array:
    """x - lambd for x > lambd, x + lambd for x < -lambd, 0 between.

    Args:
        x: real array of any shape; integers become floats.
        lambd: half the width of the dead zone, at least 0. A number or an array that broadcasts against x; may be
            traced and differentiated.

    Returns:
        An array like x, in (-inf, inf) with the default settings.

    Raises:
        ValueError: if lambd is a negative Python number.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in softshrink(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.5, 0.0, 1.5]

    Reference:
        Donoho 1995; Beck and Teboulle 2009 (the proximal map of the l1 norm).
    """
    not_negative("softshrink", lambd=lambd)
    return _softshrink(x, lambd)


def hardshrink(x: ArrayLike, lambd: ArrayLike = 0.5) -> jax.Array:
    """x where |x| > lambd, 0 elsewhere.

    Args:
        x: real array of any shape; integers become floats.
        lambd: half the width of the dead zone, at least 0. A number or an array that broadcasts against x; its
            derivative is 0, for it only moves jumps.

    Returns:
        An array like x, in (-inf, inf) with the default settings.

    Raises:
        ValueError: if lambd is a negative Python number.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in hardshrink(jnp.array([-1.0, 0.0, 2.0]))]
        [-1.0, 0.0, 2.0]

    Reference:
        Donoho and Johnstone 1994.
    """
    not_negative("hardshrink", lambd=lambd)
    return _hardshrink(x, lambd)


def tanhshrink(x: ArrayLike) -> jax.Array:
    """x - tanh(x), elementwise: about x³/3 near zero, where the difference itself would lose all digits.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in (-inf, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in tanhshrink(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.238, 0.0, 1.036]

    Reference:
        PyTorch (Paszke et al. 2019).
    """
    return _tanhshrink(x)
