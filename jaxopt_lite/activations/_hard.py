"""Piecewise polynomials that imitate tanh, sigmoid, silu and softplus: the hard and the sparse ones."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.elementwise import elementwise
from jaxopt_lite.activations._rule.pieces import Pieces

_hard_tanh = elementwise(
    "hard_tanh",
    lambda x: jnp.clip(x, -1.0, 1.0),
    Pieces(lambda x: (x >= -1) & (x <= 1)),
    keeps_mask=True,
)
# Comparing x itself, not x + 3: just inside the kink the sum rounds onto it.
_hard_sigmoid = elementwise(
    "hard_sigmoid",
    lambda x: (jnp.clip(x, -3.0, 3.0) + 3.0) / 6.0,
    Pieces(lambda x: (x > -3) & (x < 3), 1.0 / 6.0),
    keeps_mask=True,
)


def _hard_silu_value(x: jax.Array) -> jax.Array:
    inside = jnp.clip(x, -3.0, 3.0)
    return jnp.where(x >= 3, x, inside * (inside + 3.0) / 6.0)


_hard_silu = elementwise(
    "hard_silu",
    _hard_silu_value,
    Pieces(lambda x: x >= 3, 1.0, Pieces(lambda x: x > -3, lambda x: (2.0 * jnp.clip(x, -3.0, 3.0) + 3.0) / 6.0)),
)


def _sparse_plus_value(x: jax.Array) -> jax.Array:
    inside = jnp.clip(x, -1.0, 1.0) + 1.0
    return jnp.where(x >= 1, x, inside * inside * 0.25)


_sparse_plus = elementwise(
    "sparse_plus",
    _sparse_plus_value,
    Pieces(lambda x: x >= 1, 1.0, Pieces(lambda x: x > -1, lambda x: 0.5 * (jnp.clip(x, -1.0, 1.0) + 1.0))),
)
_sparse_sigmoid = elementwise(
    "sparse_sigmoid",
    lambda x: 0.5 * (jnp.clip(x, -1.0, 1.0) + 1.0),
    Pieces(lambda x: jnp.abs(x) < 1, 0.5, Pieces(lambda x: jnp.abs(x) == 1, 0.25)),
)


def hard_tanh(x: ArrayLike) -> jax.Array:
    """min(max(x, -1), 1), elementwise; its slope at ±1 is 1, as in `jax.nn`.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-1, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in hard_tanh(jnp.array([-1.0, 0.0, 2.0]))]
        [-1.0, 0.0, 1.0]

    Reference:
        Collobert 2004.
    """
    return _hard_tanh(x)


def hard_sigmoid(x: ArrayLike) -> jax.Array:
    """min(max(x + 3, 0), 6) / 6, elementwise; its slope at ±3 is 0, as in `jax.nn`.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in hard_sigmoid(jnp.array([-1.0, 0.0, 2.0]))]
        [0.333, 0.5, 0.833]

    Reference:
        Courbariaux, Bengio and David 2015; this slope, Howard et al. 2019.
    """
    return _hard_sigmoid(x)


def hard_silu(x: ArrayLike) -> jax.Array:
    """x × hard_sigmoid(x), elementwise; also called hard swish.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [-0.375, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in hard_silu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.333, 0.0, 1.667]

    Reference:
        Howard et al. 2019, MobileNetV3.
    """
    return _hard_silu(x)


def sparse_plus(x: ArrayLike) -> jax.Array:
    """0 for x ≤ -1, (x + 1)² / 4 between, x for x ≥ 1: a softplus that is exactly zero for negative x.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, inf).

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in sparse_plus(jnp.array([-1.0, 0.0, 2.0]))]
        [0.0, 0.25, 2.0]

    Reference:
        Martins and Astudillo 2016 (as the integral of sparse_sigmoid).
    """
    return _sparse_plus(x)


def sparse_sigmoid(x: ArrayLike) -> jax.Array:
    """min(max(x + 1, 0), 2) / 2, elementwise: the two-class sparsemax; its slope at ±1 is 1/4, as in `jax.nn`.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in sparse_sigmoid(jnp.array([-1.0, 0.0, 2.0]))]
        [0.0, 0.5, 1.0]

    Reference:
        Martins and Astudillo 2016.
    """
    return _sparse_sigmoid(x)
