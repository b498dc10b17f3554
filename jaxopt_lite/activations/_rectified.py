"""Rectifiers: straight lines with two slopes."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.arguments import real
from jaxopt_lite.activations._rule.elementwise import elementwise
from jaxopt_lite.activations._rule.pieces import Pieces

_relu = elementwise("relu", lambda x: jnp.maximum(x, 0.0), Pieces(lambda x: x > 0), keeps_mask=True)
_relu6 = elementwise("relu6", lambda x: jnp.clip(x, 0.0, 6.0), Pieces(lambda x: (x > 0) & (x < 6)), keeps_mask=True)
_leaky_relu, _prelu = (
    elementwise(
        name,
        lambda x, a: jnp.where(x >= 0, x, a * x),
        Pieces(lambda x, a: x >= 0, 1.0, lambda x, a: a),
        Pieces(lambda x, a: x >= 0, 0.0, lambda x, a: jnp.minimum(x, 0.0)),
        keeps_mask=True,
    )
    for name in ("leaky_relu", "prelu")
)
_relu_squared = elementwise(
    "relu_squared",
    lambda x: jnp.maximum(x, 0.0) * jnp.maximum(x, 0.0),
    Pieces(lambda x: x > 0, lambda x: 2.0 * jnp.maximum(x, 0.0)),
)
_threshold = elementwise(
    "threshold",
    lambda x, threshold, value: jnp.where(x <= threshold, value, x),
    Pieces(lambda x, threshold, value: x > threshold),
    0.0,
    Pieces(lambda x, threshold, value: x <= threshold),
    keeps_mask=True,
)


def identity(x: ArrayLike) -> jax.Array:
    """x itself, elementwise; integers become floats.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in (-inf, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in identity(jnp.array([-1.0, 0.0, 2.0]))]
        [-1.0, 0.0, 2.0]

    Reference:
        Widrow and Hoff 1960.
    """
    return real("identity", x)


def relu(x: ArrayLike) -> jax.Array:
    """The rectified linear unit, max(x, 0), elementwise; its slope at 0 is 0, as in `jax.nn`.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in relu(jnp.array([-1.0, 0.0, 2.0]))]
        [0.0, 0.0, 2.0]

    Reference:
        Fukushima 1969; Nair and Hinton 2010.
    """
    return _relu(x)


def relu6(x: ArrayLike) -> jax.Array:
    """min(max(x, 0), 6), elementwise; its slope at 0 and at 6 is 0, as in `jax.nn`.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, 6].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in relu6(jnp.array([-1.0, 0.0, 2.0]))]
        [0.0, 0.0, 2.0]

    Reference:
        Krizhevsky 2010; Howard et al. 2017.
    """
    return _relu6(x)


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> jax.Array:
    """x where x ≥ 0, negative_slope × x elsewhere; its slope at 0 is 1, as in `jax.nn`.

    Args:
        x: real array of any shape; integers become floats.
        negative_slope: slope for negative x. A number or an array that broadcasts against x; may be traced and
            differentiated.

    Returns:
        An array like x, in (-inf, inf) with the default settings.

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in leaky_relu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.01, 0.0, 2.0]

    Reference:
        Maas, Hannun and Ng 2013.
    """
    return _leaky_relu(x, negative_slope)


def prelu(x: ArrayLike, negative_slope: ArrayLike = 0.25) -> jax.Array:
    """`leaky_relu` with a learned slope, one number for each channel (the last axis of x) or one for all.

    Args:
        x: real array of shape (..., channels); integers become floats.
        negative_slope: slope for negative x; 0.25 is where its authors start. Scalar or shape (channels,); may be
            traced and learned.

    Returns:
        An array like x, in (-inf, inf) with the default settings.

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in prelu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.25, 0.0, 2.0]

    Reference:
        He, Zhang, Ren and Sun 2015.
    """
    return _prelu(x, negative_slope)


def relu_squared(x: ArrayLike) -> jax.Array:
    """max(x, 0)², elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in relu_squared(jnp.array([-1.0, 0.0, 2.0]))]
        [0.0, 0.0, 4.0]

    Reference:
        So, Mańke, Liu, Dai, Shazeer and Le 2021, Primer.
    """
    return _relu_squared(x)


def threshold(x: ArrayLike, threshold: ArrayLike, value: ArrayLike) -> jax.Array:
    """x where x > threshold, value elsewhere.

    Args:
        x: real array of any shape; integers become floats.
        threshold: where the function starts to pass x. A number or an array that broadcasts against x; its derivative
            is 0, for it only moves a jump.
        value: the result at and below the threshold. A number or an array that broadcasts against x; may be traced and
            differentiated.

    Returns:
        An array like x: each entry is `value` or above the threshold.

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in threshold(jnp.array([-1.0, 0.5, 2.0]), 1.0, 0.0)]
        [0.0, 0.0, 2.0]

    Reference:
        Glorot, Bordes and Bengio 2011 (as thresholded rectifier, Konda, Memisevic and Krueger 2014).
    """
    return _threshold(x, threshold, value)


def binary_step(x: ArrayLike) -> jax.Array:
    """1 where x ≥ 0 and 0 elsewhere, elementwise; the derivative is 0 everywhere, so nothing can be learned through it.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in binary_step(jnp.array([-1.0, 0.0, 2.0]))]
        [0.0, 1.0, 1.0]

    Reference:
        McCulloch and Pitts 1943; Rosenblatt 1958.
    """
    x = lax.stop_gradient(real("binary_step", x))
    return jnp.where(x >= 0, 1.0, jnp.where(x < 0, 0.0, x))
