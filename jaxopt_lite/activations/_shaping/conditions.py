"""What a shaped activation must satisfy, as equations in the scale and shift of its input.

For g(z) = p (f(a z + b) + d), z standard normal, Q(q) = E g(√q z)² maps the mean square of a layer's inputs to that of
its outputs, and C(c) = E g(z) g(z') maps the similarity of two inputs, with E z z' = c. For a plain network of `depth`
such layers:

- both methods keep the size of signals, Q(1) = Q'(1) = 1;
- TAT keeps the size of gradients, C'(1) = 1, with the curvature C''(1) = 0.3 / depth;
- DKS keeps different inputs different, C(0) = 0, with C'(1)^depth = 1.5.

Here p and d are eliminated, which leaves two equations in a and b. TAT has two cases, a positive and a negative mean.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.activations._shaping.moments import Moments

Array = jax.Array
CURVATURE, DILATION = 0.3, 1.5


class Outputs(NamedTuple):
    """The mean of g before scaling, E f(a z + b) + d, and the scale p."""

    mean: Array
    scale: Array


class Method(NamedTuple):
    """A way to shape.

    Attributes:
        outputs: from moments and the sign of the mean to mean and scale of the output.
        errors: from moments, sign and depth to the two equations' relative errors, shape (2,).
        signs: the signs of the mean to try.
    """

    outputs: Callable[[Moments, Array], Outputs]
    errors: Callable[[Moments, Array, Array], Array]
    signs: tuple[float, ...]


def _tat_outputs(m: Moments, sign: Array) -> Outputs:
    square = m.slope**2 + m.change  # E u'², at least Var u
    mean = sign * jnp.sqrt(jnp.maximum(m.change - m.rest, 1e-6 * m.change))
    return Outputs(mean, 1 / jnp.sqrt(square))


def _tat_errors(m: Moments, sign: Array, depth: Array) -> Array:
    mean, scale = _tat_outputs(m, sign)
    curvature = jnp.log(m.curvature * scale**2 * depth / CURVATURE)
    return jnp.stack([curvature, (mean * m.tilt + m.growth - m.change) / m.change])


def _dks_outputs(m: Moments, sign: Array) -> Outputs:
    return Outputs(jnp.zeros_like(m.mean), 1 / jnp.sqrt(m.slope**2 + m.rest))


def _dks_errors(m: Moments, sign: Array, depth: Array) -> Array:
    dilation = jnp.maximum(m.change - m.rest, 1e-6 * m.change) / (m.slope**2 + m.rest)
    wanted = jnp.expm1(jnp.log(DILATION) / depth)
    return jnp.stack([jnp.log(dilation / wanted), (m.growth - m.rest) / m.rest])


METHODS = {
    "tat": Method(_tat_outputs, _tat_errors, (1.0, -1.0)),
    "dks": Method(_dks_outputs, _dks_errors, (1.0,)),
}
