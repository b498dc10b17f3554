"""Moments of an activation whose input is normal, from samples of the activation."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
Function = Callable[[Array], Array]


class Samples(NamedTuple):
    """An activation f at evenly spaced points: x, f, f' and f'', each of shape (points,)."""

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


def sample(f: Function, x: Array) -> Samples:
    """f and its first two derivatives at x, by forward mode."""
    one = jnp.ones_like(x)

    def with_slope(x: Array) -> tuple[Array, Array]:
        return jax.jvp(jax.vmap(f), (x,), (one,))

    (value, slope), (_, curvature) = jax.jvp(with_slope, (x,), (one,))
    return Samples(x, value, slope, curvature)


def moments(samples: Samples, a: Array, b: Array) -> Moments:
    """The moments of f(a z + b).

    The points are those of the samples, for any a and b; only their weights depend on the two. So the derivatives in
    a and b need no third derivative of f, and they are right where f has kinks.
    """
    t = (samples.x - b) / a
    spacing = samples.x[1] - samples.x[0]
    weight = jnp.exp(-t * t / 2) * (spacing / a / jnp.sqrt(2 * jnp.pi))

    def mean_of(y: Array) -> Array:
        return jnp.dot(weight, y, precision="highest")

    mean, slope = mean_of(samples.value), a * mean_of(samples.slope)
    rest, change = samples.value - mean - slope * t, a * samples.slope - slope
    return Moments(
        mean,
        slope,
        mean_of(rest * rest),
        mean_of(change * change),
        mean_of((a * a * samples.curvature) ** 2),
        mean_of(t * change),
        mean_of((slope * t + rest) * t * change),
    )
