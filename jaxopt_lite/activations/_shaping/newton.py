"""Newton's method for the conditions of a shaped activation."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxopt_lite.activations._shaping.conditions import METHODS
from jaxopt_lite.activations._shaping.moments import Moments, Samples, moments, namespace

Array = Any
DIFFERENCE = 1e-2  # of log a, and of b in units of a


def newton(
    samples_at: Callable[[Array, Array], Samples],
    a: Array,
    b: Array,
    sign: Array,
    method: str,
    depth: float,
    steps: int,
) -> tuple[Array, Array, Array, Moments]:
    """Solve the conditions from several starts.

    The derivatives of the errors are taken as differences: the solutions do not depend on them.

    Args:
        samples_at: from a and b of shape (starts,) to samples of shape (starts, points).
        a: starts, shape (starts,).
        b: the same.
        sign: the sign of the mean, shape (starts,).
        method: a key of `METHODS`.
        depth: as in `shaped`.
        steps: evaluations of the conditions.

    Returns:
        a, b, the largest error and the moments there, each of shape (starts,). The error is NaN where it fails.
    """
    xp = namespace(a)
    for step in range(steps):
        samples = samples_at(a, b)
        # One call for each point: the gradient of a batched one crashes XLA:CPU (jax 0.10.2).
        at, along_a, along_b = (
            moments(samples, (a * np.exp(da))[..., None], (b + a * db)[..., None])
            for da, db in ((0, 0), (DIFFERENCE, 0), (0, DIFFERENCE))
        )
        (e, f), *moved = (METHODS[method].errors(m, sign, depth) for m in (at, along_a, along_b))
        (p, r), (q, s) = (((g - e) / DIFFERENCE, (h - f) / DIFFERENCE) for g, h in moved)
        if step < steps - 1:
            b = b - a * (p * f - r * e) / (p * s - q * r)
            a = a * xp.exp(-(s * e - q * f) / (p * s - q * r))
    return a, b, xp.maximum(abs(e), abs(f)), at
