"""The Gaussian error linear unit, x Φ(x), and its tanh approximation."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import horner, scaled_exp
from jaxopt_lite.activations._numerics.two_terms import TwoTerms, constant, product, total
from jaxopt_lite.activations._rule.elementwise import elementwise

_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
# Φ(-a) = exp(-a²/2) (1 + u P(u)) / (a + 2) with u = a/(a + 2): Chebyshev fit of P for 0 ≤ a ≤ 15, relative error 1e-9.
_MILLS = (
    -0.5957692265510559,
    -0.19153249263763428,
    0.08488374948501587,
    0.10732787847518921,
    0.03561628237366676,
    0.011263092048466206,
    -0.04669484123587608,
    -0.05878962576389313,
    0.18514709174633026,
    -0.31097573041915894,
    0.25082719326019287,
    -0.07236530631780624,
)
_FAR = 15.0  # Φ(-15) = 4e-51: zero in float32


def _far(x: jax.Array) -> float:
    return 40.0 if x.dtype == jnp.float64 else _FAR


def _bell(a: jax.Array, factor: jax.Array) -> jax.Array:
    """factor × exp(-a²/2): the square as two terms, for its rounding error alone costs a² units in the last place."""
    square = product(a, a)
    e, scale = scaled_exp(-0.5 * square.high)
    return (factor * (e - e * (0.5 * square.low))) * scale


def _mills(a: jax.Array) -> jax.Array:
    """a Φ(-a) exp(a²/2), which grows from 0 to 1/sqrt(2 pi)."""
    if a.dtype == jnp.float64:
        return a * (0.5 * lax.erfc(a * math.sqrt(0.5)) * jnp.exp(0.5 * jnp.minimum(a, 37.0) ** 2))
    u = a / (a + 2.0)
    return u + (u * u) * horner(_MILLS, u)


def _mills_less_density(a: jax.Array) -> jax.Array:
    """Φ(-a) exp(a²/2) - a / sqrt(2 pi), summed so that the digits that cancel are never rounded away."""
    if a.dtype == jnp.float64:
        return 0.5 * lax.erfc(a * math.sqrt(0.5)) * jnp.exp(0.5 * jnp.minimum(a, 37.0) ** 2) - a * _DENSITY
    u, c = a / (a + 2.0), tuple(m / _DENSITY for m in _MILLS)
    return ((1.0 / _DENSITY - 2.0 * a) - a * a + u * horner(c, u)) * _DENSITY / (a + 2.0)


def _exact(x: jax.Array) -> jax.Array:
    a = jnp.minimum(jnp.abs(x), _far(x))
    lost = _bell(a, _mills(a))
    return jnp.maximum(x, 0.0) - lost


def _exact_slope(x: jax.Array) -> jax.Array:
    a = jnp.minimum(jnp.abs(x), _far(x))
    lower = _bell(a, _mills_less_density(a))
    return jnp.where(x < 0, lower, 1.0 - lower)


def _exact_curvature(x: jax.Array) -> jax.Array:
    a = jnp.clip(x, -_far(x), _far(x))
    return _bell(a, (2.0 - a * a) * _DENSITY)


_C = 2.0 * math.sqrt(2.0 / math.pi)
_A = 0.044715 * _C
_STOP = 12.0  # exp(-v) = 1e-64 there: zero in float32


def _stop(x: jax.Array) -> float:
    return 24.0 if x.dtype == jnp.float64 else _STOP


class _Tanh(NamedTuple):
    """The tanh form is x × logistic(v), v = x (C + A x²): a = |x|, v of a and its derivative w, both as two terms."""

    a: jax.Array
    v: TwoTerms
    w: TwoTerms


def _tanh_form(x: jax.Array) -> _Tanh:
    a = jnp.minimum(jnp.abs(x), _stop(x))
    c, k, square = constant(_C, a), constant(_A, a), product(a, a)
    cubic = product(k.high, square.high)
    rest = cubic.low + k.high * square.low + k.low * square.high
    # cubic first: XLA turns (c + y) - c into y for a constant c
    inner = total(cubic.high, c.high)
    inner_low = inner.low + (rest + c.low)
    w = total(2.0 * cubic.high, inner.high)
    v = product(a, inner.high)
    return _Tanh(a, TwoTerms(v.high, v.low + a * inner_low), TwoTerms(w.high, w.low + (inner_low + 2.0 * rest)))


def _decay(v: TwoTerms) -> tuple[jax.Array, jax.Array]:
    """exp(-v) as e × scale."""
    e, scale = scaled_exp(-v.high)
    return e - e * v.low, scale


def _approximate(x: jax.Array) -> jax.Array:
    a, v, _ = _tanh_form(x)
    e, scale = _decay(v)
    return jnp.where(x < 0, -(a * e) * scale, x) / (1.0 + e * scale)


# Below, a × w stands alone in its sum, so that compilers with fused multiplication never round it.
def _approximate_slope(x: jax.Array) -> jax.Array:
    a, v, w = _tanh_form(x)
    e, scale = _decay(v)
    small = e * scale
    h = 1.0 + small
    below = (1.0 - a * w.high) + (small - a * w.low)
    ratio = jnp.where(x < 0, below, h + a * (small * w.high)) / (h * h)
    return (ratio * jnp.where(x < 0, e, 1.0)) * jnp.where(x < 0, scale, 1.0)


def _approximate_curvature(x: jax.Array) -> jax.Array:
    a, v, w = _tanh_form(x)
    e, scale = _decay(v)
    small = e * scale
    h = 1.0 + small
    rest = (2.0 - a * w.high) + a * (w.high * (2.0 * small / h))  # 2 - a w (1 - e) / (1 + e)
    c = constant(_C, a)
    inner = w.high * rest + 2.0 * (w.high - c.high)  # 2 w + 6 A a² - a w² (1 - e) / (1 + e), for 3 A a² = w - C
    return ((inner + 2.0 * (w.low * rest - c.low)) / (h * h) * e) * scale


_gelu_exact = elementwise("gelu_exact", _exact, _exact_slope, curvature=_exact_curvature)
_gelu_tanh = elementwise("gelu", _approximate, _approximate_slope, curvature=_approximate_curvature)


def gelu(x: ArrayLike, approximate: bool = True) -> jax.Array:
    """The Gaussian error linear unit, x Φ(x), or by default x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³)))/2, as `jax.nn`.

    Args:
        x: real array of any shape; integers become floats.
        approximate: True for the tanh form, False for x Φ(x) itself; static. Default: True, as in `jax.nn`.

    Returns:
        An array like x, in [-0.17, inf).

    Raises:
        TypeError: if `approximate` is a text, or x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in gelu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.159, 0.0, 1.955]

    Reference:
        Hendrycks and Gimpel 2016.
    """
    if isinstance(approximate, str):
        raise TypeError(f"gelu: approximate={approximate!r}: give True for the tanh form, False for the exact one")
    return _gelu_tanh(x) if approximate else _gelu_exact(x)


def gelu_exact(x: ArrayLike) -> jax.Array:
    """The Gaussian error linear unit in its exact form, x Φ(x): `gelu(x, approximate=False)` as a function of x alone.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-0.17, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in gelu_exact(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.159, 0.0, 1.954]

    Reference:
        Hendrycks and Gimpel 2016.
    """
    return _gelu_exact(x)
