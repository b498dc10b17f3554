"""The identity times a logistic gate: silu, swish, quick_gelu and ACON-C are one function of x and of v = beta x."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import scaled_exp
from jaxopt_lite.activations._numerics.two_terms import TwoTerms, constant, product
from jaxopt_lite.activations._rule.elementwise import elementwise

_END = 200.0  # exp(-200) is zero in float32
_END_WIDE = 1500.0  # and exp(-1500) in float64


class _Gate(NamedTuple):
    """exp(-|v|) as e × scale, with |v| as size + low and rest = 1 + exp(-|v|)."""

    negative: jax.Array
    size: jax.Array
    low: Any
    e: jax.Array
    scale: jax.Array
    rest: jax.Array


def _gate(v: TwoTerms) -> _Gate:
    """What the formulas below have in common; the low term of v corrects e, for v is itself a rounded product."""
    size = jnp.minimum(jnp.abs(v.high), _END_WIDE if v.high.dtype == jnp.float64 else _END)
    e, scale = scaled_exp(-size)
    negative = v.high < 0
    low = v.low if isinstance(v.low, float) else jnp.where(negative, -v.low, v.low)
    e = e - e * low
    return _Gate(negative, size, low, e, scale, 1.0 + e * scale)


def _single(x: jax.Array) -> TwoTerms:
    return TwoTerms(x, 0.0)


def _scaled(x: jax.Array, beta: Any) -> TwoTerms:
    """v = beta x as two terms; far out, where the gate is 0 or 1, the low one is dropped with the overflow in it."""
    v = product(beta, x)
    return TwoTerms(v.high, jnp.where(jnp.abs(v.high) < _END_WIDE, v.low, 0.0))


def gated(x: jax.Array, v: TwoTerms) -> jax.Array:
    """x × logistic(v)."""
    g = _gate(v)
    bounded = jnp.where(jnp.abs(v.high) < _END_WIDE, x, 0.0)
    return jnp.where(g.negative, (bounded * g.e) * g.scale, x) / g.rest


def gated_slope(v: TwoTerms, factor: Any = 1.0) -> jax.Array:
    """factor × the derivative of v × logistic(v)."""
    g = _gate(v)
    bounded = factor if isinstance(factor, float) else jnp.where(g.e > 0, factor, 0.0)  # large × 0 might be NaN
    below = (bounded * (((1.0 - g.size) - g.low) + g.e * g.scale) * g.e) * g.scale
    return jnp.where(g.negative, below, factor * (g.rest + g.size * (g.e * g.scale))) / (g.rest * g.rest)


def gated_curvature(v: TwoTerms, factor: Any = 1.0) -> jax.Array:
    """factor × the second derivative of v × logistic(v)."""
    g = _gate(v)
    inner = ((2.0 - g.size) - g.low) + g.size * (2.0 * (g.e * g.scale) / g.rest)  # 2 - |v| tanh(|v|/2)
    return (factor * inner * g.e) * g.scale / (g.rest * g.rest)


def _by_gate(x: jax.Array, v: TwoTerms) -> jax.Array:
    """x² × logistic'(v), the derivative of x × logistic(beta x) in beta."""
    g = _gate(v)
    x = jnp.where(g.size < (_END_WIDE if x.dtype == jnp.float64 else _END), x, 0.0)
    return (x * (x * g.e / g.rest)) * g.scale / g.rest


_silu = elementwise(
    "silu",
    lambda x: gated(x, _single(x)),
    lambda x: gated_slope(_single(x)),
    curvature=lambda x: gated_curvature(_single(x)),
)
_QUICK = 1.702


def _quick(x: jax.Array) -> TwoTerms:
    k = constant(_QUICK, x)
    v = product(k.high, x)
    return TwoTerms(v.high, jnp.where(jnp.abs(v.high) < _END_WIDE, v.low + k.low * x, 0.0))


_quick_gelu = elementwise(
    "quick_gelu",
    lambda x: gated(x, _quick(x)),
    lambda x: gated_slope(_quick(x)),
    curvature=lambda x: gated_curvature(_quick(x), _QUICK),
)
_swish = elementwise(
    "swish",
    lambda x, beta: gated(x, _scaled(x, beta)),
    lambda x, beta: gated_slope(_scaled(x, beta)),
    lambda x, beta: _by_gate(x, _scaled(x, beta)),
    curvature=lambda x, beta: gated_curvature(_scaled(x, beta), beta),
)


def _steep(x: jax.Array, p1: jax.Array, p2: jax.Array, beta: jax.Array) -> TwoTerms:
    return _scaled(x, beta * (p1 - p2))


def _opposite(v: TwoTerms) -> TwoTerms:
    return TwoTerms(-v.high, -v.low)


def _acon_value(x: jax.Array, p1: jax.Array, p2: jax.Array, beta: jax.Array) -> jax.Array:
    v = _steep(x, p1, p2, beta)
    # (p1 - p2) x logistic(v) + p2 x, as a sum in which no term overflows before the result does. A term with slope 0 is
    # left out: 0 x may be NaN, and XLA simplifies + 0, which changes the sign of a zero.
    first, second = gated(p1 * x, v), gated(p2 * x, _opposite(v))
    return jnp.where(p2 == 0, jnp.where(p1 == 0, 0.0, first), jnp.where(p1 == 0, second, first + second))


def _acon_slope(x: jax.Array, p1: jax.Array, p2: jax.Array, beta: jax.Array) -> jax.Array:
    # 1 - slope(v) = slope(-v): so neither parameter's derivative cancels
    v = _steep(x, p1, p2, beta)
    return p1 * gated_slope(v) + p2 * gated_slope(_opposite(v))


def _acon_curvature(x: jax.Array, p1: jax.Array, p2: jax.Array, beta: jax.Array) -> jax.Array:
    return gated_curvature(_steep(x, p1, p2, beta), (p1 - p2) * (beta * (p1 - p2)))


_acon_c = elementwise(
    "acon_c",
    _acon_value,
    _acon_slope,
    lambda x, p1, p2, beta: gated_slope(_steep(x, p1, p2, beta), x),
    lambda x, p1, p2, beta: gated_slope(_opposite(_steep(x, p1, p2, beta)), x),
    lambda x, p1, p2, beta: _by_gate((p1 - p2) * x, _steep(x, p1, p2, beta)),
    curvature=_acon_curvature,
)


def silu(x: ArrayLike) -> jax.Array:
    """The sigmoid-weighted linear unit, x / (1 + exp(-x)), elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-0.278, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in silu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.269, 0.0, 1.762]

    Reference:
        Elfwing, Uchibe and Doya 2017.
    """
    return _silu(x)


def quick_gelu(x: ArrayLike) -> jax.Array:
    """The cheap approximation of gelu, x / (1 + exp(-1.702 x)), elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-0.164, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in quick_gelu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.154, 0.0, 1.936]

    Reference:
        Hendrycks and Gimpel 2016; used by CLIP (Radford et al. 2021).
    """
    return _quick_gelu(x)


def swish(x: ArrayLike, beta: ArrayLike = 1.0) -> jax.Array:
    """x / (1 + exp(-beta x)), elementwise: silu for beta = 1, relu for beta → inf, x/2 for beta = 0.

    Args:
        x: real array of shape (..., channels); integers become floats.
        beta: sharpness, a finite number: 1 for silu, 0 for x / 2 of finite x, the larger the closer to relu. Scalar or
            shape (channels,); may be traced and learned.

    Returns:
        An array like x, in [-0.278, inf) with the default settings.

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in swish(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.269, 0.0, 1.762]

    Reference:
        Ramachandran, Zoph and Le 2017.
    """
    return _swish(x, beta)


def acon_c(x: ArrayLike, p1: ArrayLike = 1.0, p2: ArrayLike = 0.0, beta: ArrayLike = 1.0) -> jax.Array:
    """(p1 - p2) x / (1 + exp(-beta (p1 - p2) x)) + p2 x: a smooth maximum of p1 x and p2 x, elementwise.

    Args:
        x: real array of shape (..., channels); integers become floats.
        p1: slope for large x, if beta > 0 and p1 > p2. Scalar or shape (channels,); may be traced and learned.
        p2: slope for large negative x. Scalar or shape (channels,); may be traced and learned.
        beta: sharpness of the turn between both, 0 for a line. Scalar or shape (channels,); may be traced and learned.

    Returns:
        An array like x, in [-0.278, inf) with the default settings.

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in acon_c(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.269, 0.0, 1.762]

    Reference:
        Ma, Zhang, Liu and Sun 2021, Activate or Not.
    """
    return _acon_c(x, p1, p2, beta)
