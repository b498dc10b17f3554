"""Exponential linear units: a line for positive x, an exponential approach to a floor for negative x."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import negative_expm1, times_exp
from jaxopt_lite.activations._numerics.two_terms import TwoTerms, product
from jaxopt_lite.activations._rule.arguments import positive
from jaxopt_lite.activations._rule.elementwise import elementwise
from jaxopt_lite.activations._rule.pieces import Pieces

_ALPHA = 1.6732632423543772848170429916717
_SCALE = 1.0507009873554804934193349852946
_END = 1500.0  # exp(-1500) is zero in every dtype


def _negative(x: jax.Array) -> jax.Array:
    """min(x, 0), with the derivative 1 at 0, where that of jnp.minimum is 1/2."""
    return jnp.where(x > 0, 0.0, x)


def _below(x: jax.Array) -> jax.Array:
    return jnp.maximum(_negative(x), -_END)


def _bend(x: jax.Array, factor: jax.Array | float) -> jax.Array:
    """factor × exp(x) for the negative half."""
    return times_exp(factor, _below(x))


def _ratio(x: jax.Array, scale: jax.Array) -> TwoTerms:
    """min(x, 0) / scale as two terms, stopped where its exponential is zero."""
    x, share = jnp.maximum(_negative(x), -_END * scale), 1.0 / scale
    high = x * share
    back = product(scale, high)
    return TwoTerms(high, ((x - back.high) - back.low) * share)


def _decay(x: jax.Array, scale: jax.Array, factor: jax.Array | float) -> jax.Array:
    """factor × exp(min(x, 0) / scale)."""
    q = _ratio(x, scale)
    return times_exp(factor * (1.0 + q.low), q.high)


def _floor(x: jax.Array, scale: jax.Array) -> jax.Array:
    """exp(min(x, 0) / scale) - 1."""
    q = _ratio(x, scale)
    return negative_expm1(q.high) + q.low * jnp.exp(q.high)


_elu = elementwise(
    "elu",
    lambda x, alpha: jnp.where(x > 0, x, alpha * negative_expm1(_below(x))),
    lambda x, alpha: jnp.where(x > 0, 1.0, _bend(x, alpha)),
    Pieces(lambda x, alpha: x > 0, 0.0, lambda x, alpha: negative_expm1(_below(x))),
    curvature=lambda x, alpha: jnp.where(x > 0, 0.0, _bend(x, alpha)),
)
_selu = elementwise(
    "selu",
    lambda x: jnp.where(x > 0, _SCALE * x, (_SCALE * _ALPHA) * negative_expm1(_below(x))),
    lambda x: jnp.where(x > 0, _SCALE, _bend(x, _SCALE * _ALPHA)),
    curvature=lambda x: jnp.where(x > 0, 0.0, _bend(x, _SCALE * _ALPHA)),
)
_celu = elementwise(
    "celu",
    lambda x, alpha: jnp.where(x > 0, x, alpha * _floor(x, alpha)),
    lambda x, alpha: jnp.where(x > 0, 1.0, _decay(x, alpha, 1.0)),
    Pieces(
        lambda x, alpha: x > 0,
        0.0,
        lambda x, alpha: _floor(x, alpha) - _decay(x, alpha, _negative(x) / alpha),
    ),
    curvature=lambda x, alpha: jnp.where(x > 0, 0.0, _decay(x, alpha, 1.0 / alpha)),
)
_pelu = elementwise(
    "pelu",
    lambda x, alpha, beta: jnp.where(x > 0, alpha / beta * x, alpha * _floor(x, beta)),
    lambda x, alpha, beta: jnp.where(x > 0, alpha / beta, _decay(x, beta, alpha / beta)),
    lambda x, alpha, beta: jnp.where(x > 0, x / beta, _floor(x, beta)),
    lambda x, alpha, beta: jnp.where(
        x > 0, -(alpha / beta) * (x / beta), _decay(x, beta, -(alpha / beta) * (_ratio(x, beta).high))
    ),
    curvature=lambda x, alpha, beta: jnp.where(x > 0, 0.0, _decay(x, beta, alpha / beta / beta)),
)


def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> jax.Array:
    """The exponential linear unit: x where x > 0, alpha (exp(x) - 1) elsewhere.

    Args:
        x: real array of any shape; integers become floats.
        alpha: minus the limit for x → -inf; also the slope at 0, as in `jax.nn`. A number or an array that broadcasts
            against x; may be traced and differentiated.

    Returns:
        An array like x, in [-1, inf) with the default settings.

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in elu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.632, 0.0, 2.0]

    Reference:
        Clevert, Unterthiner and Hochreiter 2015.
    """
    return _elu(x, alpha)


def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> jax.Array:
    """The continuously differentiable elu: x where x > 0, alpha (exp(x / alpha) - 1) elsewhere.

    Args:
        x: real array of any shape; integers become floats.
        alpha: minus the limit for x → -inf, positive. A number or an array that broadcasts against x; may be traced and
            differentiated.

    Returns:
        An array like x, in [-1, inf) with the default settings.

    Raises:
        ValueError: if alpha is a Python number that is not positive, or too close to 0 or infinity for its reciprocal.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in celu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.632, 0.0, 2.0]

    Reference:
        Barron 2017.
    """
    positive("celu", alpha=alpha)
    return _celu(x, alpha)


def selu(x: ArrayLike) -> jax.Array:
    """The scaled exponential linear unit, 1.0507 elu(x, 1.6733), elementwise.

    The constants make zero mean and unit variance a fixed point of a layer with LeCun-normal weights.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-1.76, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in selu(jnp.array([-1.0, 0.0, 2.0]))]
        [-1.111, 0.0, 2.101]

    Reference:
        Klambauer, Unterthiner, Mayr and Hochreiter 2017.
    """
    return _selu(x)


def pelu(x: ArrayLike, alpha: ArrayLike = 1.0, beta: ArrayLike = 1.0) -> jax.Array:
    """The parametric elu: alpha / beta × x where x > 0, alpha (exp(x / beta) - 1) elsewhere.

    Args:
        x: real array of shape (..., channels); integers become floats.
        alpha: minus the limit for x → -inf, positive. Scalar or shape (channels,); may be traced and learned.
        beta: the width of the bend, positive; the slope at 0 is alpha / beta on both sides. Scalar or shape
            (channels,); may be traced and learned.

    Returns:
        An array like x, in [-1, inf) with the default settings.

    Raises:
        ValueError: if alpha or beta is a Python number that is not positive, or too close to 0 or infinity for its
            reciprocal.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in pelu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.632, 0.0, 2.0]

    Reference:
        Trottier, Giguère and Chaib-draa 2016.
    """
    positive("pelu", alpha=alpha, beta=beta)
    return _pelu(x, alpha, beta)
