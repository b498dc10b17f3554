"""The Gaussian bump, exp(-x²)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import times_exp
from jaxopt_lite.activations._numerics.two_terms import product
from jaxopt_lite.activations._rule.elementwise import elementwise

_END = 40.0  # exp(-1600) is zero in every dtype


def _bump(x: jax.Array, factor: jax.Array | float) -> jax.Array:
    """factor × exp(-x²): the square as two terms, for its rounding error alone costs x² ulp."""
    square = product(x, x)
    return times_exp(factor * (1.0 - square.low), -square.high)


def _bounded(x: jax.Array) -> jax.Array:
    return jnp.clip(x, -_END, _END)


_gaussian = elementwise(
    "gaussian",
    lambda x: _bump(_bounded(x), 1.0),
    lambda x: _bump(_bounded(x), -2.0 * _bounded(x)),
    curvature=lambda x: _bump(_bounded(x), 4.0 * _bounded(x) * _bounded(x) - 2.0),
)


def gaussian(x: ArrayLike) -> jax.Array:
    """exp(-x²), elementwise.

    Args:
        x: real array of any shape; integers become floats.

    Returns:
        An array like x, in [0, 1].

    Raises:
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in gaussian(jnp.array([-1.0, 0.0, 2.0]))]
        [0.368, 1.0, 0.018]

    Reference:
        Broomhead and Lowe 1988; as an activation Ramasinghe and Lucey 2022.
    """
    return _gaussian(x)
