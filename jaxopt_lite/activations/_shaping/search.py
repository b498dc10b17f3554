"""Approximate solutions of the conditions of a shaped activation, from a table of its moments."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxopt_lite.activations._shaping.conditions import METHODS
from jaxopt_lite.activations._shaping.moments import Samples, moments
from jaxopt_lite.activations._shaping.newton import newton
from jaxopt_lite.activations._shaping.normal import normal_grid

Array = NDArray[np.float64]
WIDE = np.linspace(-16.0, 16.0, 8192)  # where the activation is sampled
NODES = normal_grid(1 / 8)[0]
LOG_A = np.arange(np.log(0.002), np.log(4.0), 0.2)
B = np.linspace(-6.0, 6.0, 97)
# Value and differences along both axes of a linear function in the middle of a cell, from its values at the corners.
PLANE = np.array([[1, 1, 1, 1], [-2, -2, 2, 2], [-2, 2, -2, 2]]) / 4
CANDIDATES = 32


def search(wide: Samples, method: str, depth: float) -> tuple[Array, Array, Array]:
    """The approximate solution with the smallest |b|.

    Newton's method starts in the cells of the table where the errors, taken as linear, have a common root.

    Args:
        wide: the activation at `WIDE`.
        method: a key of `METHODS`.
        depth: as in `shaped`.

    Returns:
        a and b, NaN if there is no solution, and the sign of the mean.
    """
    nearby = partial(_interpolated, wide)
    a, b, sign = _candidates(nearby, method, depth)
    a, b, error, _ = newton(nearby, a, b, sign, method, depth, steps=12)
    rank = np.where(error < 1e-2, abs(b) + 1e-3 * (b < 0), np.inf)  # of two mirror images, the one with b > 0
    best = rank.argmin()
    return np.where(rank[best] < np.inf, a[best], np.nan), b[best], sign[best]


def _candidates(nearby: Any, method: str, depth: float) -> tuple[Array, Array, Array]:
    """a, b and sign where the table has roots, or nearly; each of shape (CANDIDATES,)."""
    a, b = np.broadcast_arrays(np.exp(LOG_A)[:, None], B[None])
    table = moments(nearby(a, b), a[..., None], b[..., None])
    places, distances = [], []
    for sign in METHODS[method].signs:
        errors = np.stack(METHODS[method].errors(table, sign, depth))
        corners = np.stack([errors[:, i : len(LOG_A) - 1 + i, j : len(B) - 1 + j] for i in (0, 1) for j in (0, 1)])
        (e, f), (p, r), (q, s) = np.tensordot(PLANE, corners, 1)
        place = np.stack([q * f - s * e, r * e - p * f]) / (p * s - q * r)
        distance = abs(place).max(0)
        places.append(place)
        distances.append(np.where(distance < 2, distance, np.inf))
    nearest = np.argsort(np.stack(distances).ravel())[:CANDIDATES]
    n, i, j = np.unravel_index(nearest, (len(places), len(LOG_A) - 1, len(B) - 1))
    by_a, by_b = np.stack(places)[n, :, i, j].T
    log_a, b = (
        LOG_A[i] + (0.5 + by_a) * (LOG_A[1] - LOG_A[0]),
        B[j] + (0.5 + by_b) * (B[1] - B[0]),
    )
    return np.exp(log_a), b, np.asarray(METHODS[method].signs)[n]


def _interpolated(wide: Samples, a: Array, b: Array) -> Samples:
    """Samples at the scale of f(a z + b), by third-order Taylor expansion from the nearest point."""
    x = a[..., None] * NODES.reshape((1,) * a.ndim + (-1,)) + b[..., None]
    spacing = WIDE[1] - WIDE[0]
    nearest = np.nan_to_num((x - WIDE[0]) / spacing + 0.5).clip(0, len(WIDE) - 1).astype(int)
    third = np.gradient(wide.curvature, spacing)[nearest]
    value, slope, curvature = (y[nearest] for y in wide[1:])
    h = x - wide.x[nearest]
    return Samples(
        x,
        value + h * (slope + h * (curvature / 2 + h * third / 6)),
        slope + h * (curvature + h * third / 2),
        curvature + h * third,
    )
