"""Moments of an activation whose input is normal, from samples of the activation.

The functions of samples work on arrays of NumPy, which need no compilation, and on those of JAX, which can be traced.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = Any  # of NumPy or of JAX


class Samples(NamedTuple):
    """An activation f at evenly spaced points: x, f, f' and f'', each of shape (..., points)."""

    x: Array
    value: Array
    slope: Array
    curvature: Array


class Moments(NamedTuple):
    """Expectations for u(z) = f(a z + b), z standard normal, split as u = mean + slope z + rest(z).

    The straight part is taken out before squares are formed. In a deep network u is almost straight, and the
    difference of E u² and E u'² would lose the digits that matter.

    Attributes:
        mean: E u.
        slope: E u', which equals E z u.
        rest: E rest².
        change: E rest'².
        curvature: E u''².
        tilt: E z rest'.
        growth: E z u' (u - mean) - slope². With rest it says how fast the variance of u grows with that of z.
    """

    mean: Array
    slope: Array
    rest: Array
    change: Array
    curvature: Array
    tilt: Array
    growth: Array


def sample(f: Callable[[jax.Array], jax.Array], x: jax.Array) -> Samples:
    """f and its first two derivatives at x, by forward mode."""
    one = jnp.ones_like(x)

    def with_slope(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(jax.vmap(f), (x,), (one,))

    (value, slope), (_, curvature) = jax.jvp(with_slope, (x,), (one,))
    return Samples(x, value, slope, curvature)


def namespace(array: Array) -> Any:
    """The module that computes with an array: `jax.numpy` or `numpy`."""
    return jnp if isinstance(array, jax.Array) else np


def moments(samples: Samples, a: Array, b: Array) -> Moments:
    """The moments of f(a z + b), of shape (...), for a and b of shape (..., 1).

    The points are those of the samples, for any a and b; only their weights depend on the two. So the moments are
    smooth functions of a and b where f has kinks, too.
    """
    t = (samples.x - b) / a
    spacing = (samples.x[..., -1:] - samples.x[..., :1]) / (samples.x.shape[-1] - 1)
    weight = namespace(t).exp(-t * t / 2) * (spacing / a / (2 * np.pi) ** 0.5)

    def mean_of(y: Array) -> Array:
        blocks = (weight * y).reshape(*t.shape[:-1], -1, 32)  # two short sums in float32 round less than a long one
        return blocks.sum(-2).sum(-1)

    mean, slope = mean_of(samples.value), mean_of(a * samples.slope)
    straight = slope[..., None] * t
    rest, change = samples.value - mean[..., None] - straight, a * samples.slope - slope[..., None]
    growth = slope[..., None] * (t * t - 1) * change + rest * t * change  # E change is 0
    curvature = a * a * samples.curvature
    others = rest * rest, change * change, curvature * curvature, t * change, growth
    return Moments(mean, slope, *map(mean_of, others))
