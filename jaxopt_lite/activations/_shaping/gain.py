"""The gain of an activation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations._shaping.function import check_elementwise, is_traced, name_of, untraced
from jaxopt_lite.activations._shaping.normal import normal_grid


def gain(fn: Callable[..., Any]) -> float | jax.Array:
    """1 / sqrt(E fn(z)²) for standard normal z, the factor of weights that keeps the mean square of a layer's inputs.

    With weights of variance gain² / fan_in, as `initializers.normal(gain(fn))` draws them, the pre-activations of every
    layer have mean square 1. It says nothing of gradients: in a deep network use `shaped`.

    Args:
        fn: an elementwise function, such as one of this package, a `bind`, or one of yours. The catalogue has the gains
            of its own functions, also of the gated ones.

    Returns:
        A float; an array if fn has traced numbers, which it can be differentiated by.

    Raises:
        TypeError: `fn` is not an elementwise function.
        ValueError: `fn` is constant, as `softmax` is for a single number, or E fn(z)² is not finite.

    Example:
        >>> from jaxopt_lite.activations import bind, leaky_relu, relu, tanh
        >>> round(gain(relu), 4), round(gain(tanh), 4), round(gain(bind(leaky_relu, negative_slope=0.2)), 4)
        (1.4142, 1.5925, 1.3868)

    Reference:
        He, Zhang, Ren and Sun, 2015, Delving deep into rectifiers.
    """
    check_elementwise("gain", fn)
    if is_traced(fn):
        return 1 / jnp.sqrt(_sampled(fn)[1])
    with untraced():
        values, square = map(np.asarray, _sampled(fn))
    if not 0 < square < np.inf or values.min() == values.max():
        raise ValueError(
            f"gain: {name_of(fn)} maps single numbers to values from {float(values.min()):g} to "
            f"{float(values.max()):g}, of mean square {float(square):g}; give a function that is elementwise and not "
            "constant"
        )
    return float(square) ** -0.5


def _sampled(fn: Callable[..., Any]) -> tuple[jax.Array, jax.Array]:
    """fn at evenly spaced points, and E fn(z)²."""
    nodes, weights = normal_grid(1 / 256)
    values = jax.vmap(fn)(jnp.asarray(nodes, float))
    return values, jnp.dot(jnp.asarray(weights, float), values**2, precision="highest")
