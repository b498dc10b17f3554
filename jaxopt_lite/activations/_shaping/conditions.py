"""What a shaped activation must satisfy, as equations in the scale and shift of its input.

For g(z) = p (f(a z + b) + d), z standard normal, Q(q) = E g(√q z)² maps the mean square of a layer's inputs to that of
its outputs, and C(c) = E g(z) g(z') maps the similarity of two inputs, with E z z' = c. For a plain network of `depth`
such layers:

- both methods keep the size of signals, Q(1) = Q'(1) = 1;
- TAT keeps the size of gradients, C'(1) = 1, with the curvature C''(1) = 0.3 / depth;
- DKS keeps different inputs different, C(0) = 0, with C'(1)^depth = 1.5.

Q(1) = E g², Q'(1) = E z g g', C(0) = (E g)², C'(1) = E g'² and C''(1) = E g''². Two of the conditions give p and d, so
that two equations in a and b remain. TAT has two cases, E g > 0 and E g < 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.activations._shaping.moments import Moments, namespace

Array = Any
CURVATURE, DILATION = 0.3, 1.5


class Method(NamedTuple):
    """A way to shape.

    Attributes:
        outputs: from moments and the sign of E g to E f(a z + b) + d and p.
        errors: from moments, sign and depth to the relative errors of the two equations; the first is an equation of
            logarithms.
        signs: the signs of E g to try.
    """

    outputs: Callable[[Moments, Array], tuple[Array, Array]]
    errors: Callable[[Moments, Array, float], tuple[Array, Array]]
    signs: tuple[float, ...]


def _tat_outputs(m: Moments, sign: Array) -> tuple[Array, Array]:
    return sign * _excess(m) ** 0.5, (m.slope**2 + m.change) ** -0.5


def _tat_errors(m: Moments, sign: Array, depth: float) -> tuple[Array, Array]:
    mean, scale = _tat_outputs(m, sign)
    curvature = m.curvature * scale**2 / (CURVATURE / depth)
    return namespace(curvature).log(curvature), (mean * m.tilt + m.growth - m.change) / m.change


def _dks_outputs(m: Moments, sign: Array) -> tuple[Array, Array]:
    return 0.0 * m.mean, (m.slope**2 + m.rest) ** -0.5


def _dks_errors(m: Moments, sign: Array, depth: float) -> tuple[Array, Array]:
    dilation = _excess(m) / (m.slope**2 + m.rest) / np.expm1(np.log(DILATION) / depth)
    return namespace(dilation).log(dilation), (m.growth - m.rest) / m.rest


def _excess(m: Moments) -> Array:
    """E u'² - Var u, which is positive unless u is straight."""
    return (m.change - m.rest).clip(1e-30)


METHODS = {
    "tat": Method(_tat_outputs, _tat_errors, (1.0, -1.0)),
    "dks": Method(_dks_outputs, _dks_errors, (1.0,)),
}
