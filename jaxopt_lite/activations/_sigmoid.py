"""The logistic function and its logarithm."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import negative_exp
from jaxopt_lite.activations._rule.elementwise import elementwise
from jaxopt_lite.activations._tanh import accurate_tanh


def logistic(x: jax.Array) -> jax.Array:
    """1 / (1 + exp(-x)), in the form that neither overflows nor cancels on its side of zero."""
    e = negative_exp(x)
    return jnp.where(x < 0, e, 1.0) / (1.0 + e)


def logistic_slope(x: jax.Array) -> jax.Array:
    """The derivative of `logistic`."""
    e = negative_exp(x)
    h = 1.0 + e
    return e / (h * h)


def logistic_curvature(x: jax.Array) -> jax.Array:
    """The second derivative of `logistic`."""
    return -logistic_slope(x) * accurate_tanh(0.5 * x)


_sigmoid = elementwise(
    "sigmoid", logistic, logistic_slope, curvature=logistic_curvature, of_output=lambda y: y * (1.0 - y)
)
# For gates, whose input is kept in any case.
sigmoid_by_input = elementwise("sigmoid", logistic, logistic_slope, curvature=logistic_curvature)
_log_sigmoid = elementwise(
    "log_sigmoid",
    lambda x: jnp.minimum(x, 0.0) - jnp.log1p(negative_exp(x)),
    lambda x: logistic(-x),
    curvature=lambda x: -logistic_slope(x),
)


def sigmoid(x: ArrayLike) -> jax.Array:
    """The logistic function, 1 / (1 + exp(-x)), elementwise.

    In half precision the derivatives keep full accuracy in both tails. In float32 the slope is computed from the
    output, as in `jax.nn`, so that the backward pass keeps no other array.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in sigmoid(jnp.array([-1.0, 0.0, 2.0]))]
        [0.269, 0.5, 0.881]

    Reference:
        Verhulst 1845; as an activation Rumelhart, Hinton and Williams 1986.
    """
    return _sigmoid(x)


def log_sigmoid(x: ArrayLike) -> jax.Array:
    """The logarithm of the logistic function, -log(1 + exp(-x)), elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in (-inf, 0].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in log_sigmoid(jnp.array([-1.0, 0.0, 2.0]))]
        [-1.313, -0.693, -0.127]

    Reference:
        Cox 1958 (logistic regression).
    """
    return _log_sigmoid(x)
