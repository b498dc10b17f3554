"""Functions that group or double the entries of an axis: maxout and crelu."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._rectified import relu
from jaxopt_lite.activations._rule.arguments import axis_of, integer, real
from jaxopt_lite.activations._rule.axis import along_axis

_FEW = 8  # up to so many pieces are compared one after the other, which takes a few per cent of the time of a gather


def _largest(x: jax.Array, pieces: int, axis: int) -> jax.Array:
    groups = x.reshape(*x.shape[:axis], x.shape[axis] // pieces, pieces, *x.shape[axis + 1 :])
    if pieces > _FEW:
        first = jnp.argmax(groups, axis + 1, keepdims=True)
        return jnp.take_along_axis(groups, first, axis + 1).squeeze(axis + 1)
    largest, *rest = (jax.lax.index_in_dim(groups, k, axis + 1, keepdims=False) for k in range(pieces))
    for piece in rest:
        larger = (piece > largest) | (jnp.isnan(piece) & ~jnp.isnan(largest))
        largest = jnp.where(larger, piece, largest)
    return largest


_maxout = along_axis("maxout", _largest)


def maxout(x: ArrayLike, pieces: int = 2, axis: int = -1) -> jax.Array:
    """The largest of each group of `pieces` neighbours along an axis.

    Args:
        x: real array whose axis has length n × pieces.
        pieces: how many neighbours form a group, at least 1; static.
        axis: the axis of the groups, counted from either end. Default: the last.

    Returns:
        An array with n entries on that axis, in the dtype of x. Of equal entries the first one gets the gradient.

    Raises:
        ValueError: if the axis does not exist or pieces does not divide its length.
        TypeError: if x is complex, boolean or no array, or pieces or axis is no integer.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in maxout(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [2.0, 3.0]

    Reference:
        Goodfellow, Warde-Farley, Mirza, Courville and Bengio 2013.
    """
    x = real("maxout", x)
    axis = axis_of("maxout", x, axis)
    pieces = integer("maxout", "pieces", pieces)
    if pieces < 1 or x.shape[axis] % pieces:
        raise ValueError(
            f"maxout: axis {axis} of x of shape {x.shape} cannot be cut in groups of {pieces}; "
            "give an axis whose length is a multiple of pieces"
        )
    return _maxout(x, (pieces, axis))


def crelu(x: ArrayLike, axis: int = -1) -> jax.Array:
    """relu of x and relu of -x, side by side along an axis.

    Args:
        x: real array whose axis has length n.
        axis: the axis to double, counted from either end. Default: the last.

    Returns:
        An array with 2n entries on that axis, in the dtype of x, in [0, inf).

    Raises:
        ValueError: if the axis does not exist.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> crelu(jnp.array([1.0, 2.0, -1.0, 3.0])).tolist()
        [1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0]

    Reference:
        Shang, Sohn, Almeida and Lee 2016.
    """
    x = real("crelu", x)
    axis = axis_of("crelu", x, axis)
    return relu(jnp.concatenate([x, -x], axis))
