"""The S-shaped rectifier: three straight pieces whose outer two are learned."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.elementwise import elementwise
from jaxopt_lite.activations._rule.pieces import Pieces, Slope


def _by_side(left: Slope, middle: Slope, right: Slope) -> Pieces:
    return Pieces(lambda x, tl, al, tr, ar: x >= tr, right, Pieces(lambda x, tl, al, tr, ar: x <= tl, left, middle))


def _value(x: jax.Array, tl: jax.Array, al: jax.Array, tr: jax.Array, ar: jax.Array) -> jax.Array:
    return jnp.where(x > tr, tr + ar * (x - tr), jnp.where(x < tl, tl + al * (x - tl), x))


_srelu = elementwise(
    "srelu",
    _value,
    _by_side(lambda x, tl, al, tr, ar: al, 1.0, lambda x, tl, al, tr, ar: ar),
    _by_side(lambda x, tl, al, tr, ar: 1.0 - al, 0.0, 0.0),
    _by_side(lambda x, tl, al, tr, ar: jnp.where(x > tl, 0.0, x - tl), 0.0, 0.0),
    _by_side(0.0, 0.0, lambda x, tl, al, tr, ar: 1.0 - ar),
    _by_side(0.0, 0.0, lambda x, tl, al, tr, ar: jnp.where(x < tr, 0.0, x - tr)),
)


def srelu(
    x: ArrayLike,
    left_threshold: ArrayLike = 0.0,
    left_slope: ArrayLike = 0.2,
    right_threshold: ArrayLike = 1.0,
    right_slope: ArrayLike = 1.0,
) -> jax.Array:
    """x between two thresholds; beyond them straight on with another slope.

    Args:
        x: real array of shape (..., channels); integers become floats.
        left_threshold: where the left piece ends, at most right_threshold. Scalar or shape (channels,); may be traced
            and learned.
        left_slope: slope left of it. Scalar or shape (channels,); may be traced and learned.
        right_threshold: where the right piece starts. Scalar or shape (channels,); may be traced and learned.
        right_slope: slope right of it. Scalar or shape (channels,); may be traced and learned.

    Returns:
        An array like x, in (-inf, inf) with the default settings.

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in srelu(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.2, 0.0, 2.0]

    Reference:
        Jin, Xu, Feng, Wei, Xiong and Yan 2016.
    """
    return _srelu(x, left_threshold, left_slope, right_threshold, right_slope)
