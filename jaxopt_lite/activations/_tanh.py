"""The hyperbolic tangent and its relatives."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import horner
from jaxopt_lite.activations._rule.elementwise import elementwise

# tanh(x/2) = x P(x²)/(2 Q(x²)) for |x| ≤ 9.2: Remez fit, weighted by the remaining error in tanh(x), 8e-9. The
# factor 29/16 in both leaves P, Q and their products where floating point is finest just before tanh passes 1/2.
_SCALE = 1.8125
_ABOVE = tuple(_SCALE * c for c in (1.0, 0.029756824804926706, 0.00011389363509719))
_BELOW = tuple(_SCALE * c for c in (1.0, 0.11309010627686268, 0.0012047808574496732, 1.2215847553250349e-06))
_ONE = 9.1  # tanh rounds to 1 from 9.01 on


def accurate_tanh(x: jax.Array) -> jax.Array:
    """tanh(x) within 3 ulp (XLA's own float32 tanh is off by up to 4.8, at the same cost).

    By the double angle, 2 t / (1 + t²) with t = tanh(x/2): where tanh is flat, errors of t all but vanish, and one
    division does for both quotients.
    """
    if x.dtype == jnp.float64:
        return jnp.tanh(x)
    x = jnp.clip(x, -_ONE, _ONE)
    square = x * x
    n, q = x * horner(_ABOVE, square), horner(_BELOW, square)
    half = 0.5 * n
    below = q * q + half * half
    # The division comes last: XLA stores the result of a division, and recomputes what follows it.
    return jnp.clip(n * q, -below, below) / below


def squared_sech(x: jax.Array, factor: float, shift: float) -> jax.Array:
    """factor × (1 - tanh(x)²) without the cancellation: 4 e / (1 + e)² with e = exp(-2|x|).

    e is flushed to zero a little before factor × 4 e is, so exp(shift - 2|x|) is taken instead; for a small integer
    shift the sum is exact wherever its rounding would matter. Neither a select nor exp(-|x|)², which XLA turns into a
    second exp, is as fast.
    """
    e = jnp.exp(shift - 2.0 * jnp.abs(x))
    h = 1.0 + e * math.exp(-shift)
    return e * (4.0 * factor * math.exp(-shift) / (h * h))


def tanh_slope(x: jax.Array) -> jax.Array:
    """The derivative of tanh."""
    return squared_sech(x, 1.0, 2.0)


def tanh_curvature(x: jax.Array) -> jax.Array:
    """The second derivative of tanh."""
    return accurate_tanh(x) * squared_sech(x, -2.0, 3.0)


_tanh = elementwise(
    "tanh", accurate_tanh, tanh_slope, curvature=tanh_curvature, of_output=lambda y: (1.0 - y) * (1.0 + y)
)


def tanh(x: ArrayLike) -> jax.Array:
    """The hyperbolic tangent, elementwise.

    In half precision the derivatives keep full accuracy in both tails. In float32 the slope is computed from the
    output, as in `jax.nn`, so that the backward pass keeps no other array; it is 0 from |x| = 9 on.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-1, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in tanh(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.762, 0.0, 0.964]

    Reference:
        LeCun, Bottou, Orr and Müller 1998, Efficient BackProp.
    """
    return _tanh(x)
