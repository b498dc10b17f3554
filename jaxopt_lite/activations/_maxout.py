"""Functions that group or double the entries of an axis: maxout and crelu."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._rectified import relu
from jaxopt_lite.activations._rule.arguments import axis_of, real
from jaxopt_lite.activations._rule.axis import along_axis


def _largest(x: jax.Array, pieces: int, axis: int) -> jax.Array:
    groups = x.reshape(*x.shape[:axis], x.shape[axis] // pieces, pieces, *x.shape[axis + 1 :])
    first = jnp.argmax(groups, axis + 1, keepdims=True)
    return jnp.take_along_axis(groups, first, axis + 1).squeeze(axis + 1)


_maxout = along_axis("maxout", _largest)


def maxout(x: ArrayLike, pieces: int = 2, axis: int = -1) -> jax.Array:
    """The largest of each group of `pieces` neighbours along an axis.

    x: real array whose axis has length n × pieces; the result has n there. Of equal entries the first one gets the
    gradient. An axis that pieces does not divide is a ValueError.

    Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio 2013.
    """
    x = real("maxout", x)
    axis = axis_of("maxout", x, axis)
    if pieces < 1 or x.shape[axis] % pieces:
        raise ValueError(
            f"maxout: axis {axis} of x of shape {x.shape} cannot be cut in groups of {pieces}; "
            "give an axis whose length is a multiple of pieces"
        )
    return _maxout(x, (pieces, axis))


def crelu(x: ArrayLike, axis: int = -1) -> jax.Array:
    """relu of x and relu of -x, side by side along an axis.

    x: real array whose axis has length n; the result has 2n there and lies in [0, inf).

    Source: Shang, Sohn, Almeida and Lee 2016.
    """
    x = real("crelu", x)
    axis = axis_of("crelu", x, axis)
    return relu(jnp.concatenate([x, -x], axis))
