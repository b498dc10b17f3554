"""The gain of an activation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.activations._shaping.function import check_elementwise
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
        ValueError: E fn(z)² is 0 or not finite.

    Example:
        >>> from jaxopt_lite.activations import bind, leaky_relu, relu, tanh
        >>> round(gain(relu), 4), round(gain(tanh), 4), round(gain(bind(leaky_relu, negative_slope=0.2)), 4)
        (1.4142, 1.5925, 1.3868)

    Reference:
        He, Zhang, Ren and Sun, 2015, Delving deep into rectifiers.
    """
    check_elementwise("gain", fn)
    nodes, weights = normal_grid(1 / 256)
    square = jnp.dot(jnp.asarray(weights, float), jax.vmap(fn)(jnp.asarray(nodes, float)) ** 2, precision="highest")
    if isinstance(square, jax.core.Tracer):
        return 1 / jnp.sqrt(square)
    if not 0 < square < jnp.inf:
        raise ValueError(f"gain: E fn(z)² is {square} for {fn!r}, which no factor brings to 1; give another function")
    return float(square) ** -0.5
