"""Solves the conditions of a shaped activation.

The activation is sampled twice: on a wide grid, whose interpolation serves a search by Newton's method from many
starts, and on a fine grid at the scale of the best solution, on which Newton's method runs again. Its last two steps
can be differentiated: by the implicit function theorem they have the derivatives of the solution.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations._shaping.conditions import METHODS
from jaxopt_lite.activations._shaping.moments import Function, Samples, moments, sample
from jaxopt_lite.activations._shaping.normal import normal_grid

Array = jax.Array
POINTS = 8192
WIDE = np.linspace(-16.0, 16.0, POINTS)
FINE = normal_grid(20 / POINTS)[0]
COARSE = normal_grid(1 / 16)[0]
STARTS = np.stack(np.meshgrid(np.log(np.geomspace(0.02, 4, 6)), np.linspace(-5, 5, 41)), -1).reshape(-1, 2)
LARGEST_STEP = np.array([1.0, 0.5])  # of log a and b, in an iteration of Newton's method


class Solution(NamedTuple):
    """The numbers of x -> output_scale * (f(input_scale * x + input_shift) + output_shift), and what the solver found.

    Attributes:
        input_scale: a.
        input_shift: b.
        output_shift: d.
        output_scale: p.
        error: the largest relative error of the conditions.
        jumps: how much larger the mean squared slope between neighbouring points is than that of the derivative,
            relative to the latter: above 0.1 f jumps.
        kinks: the same for the slope and the second derivative: above 0.1 f has a kink.
    """

    input_scale: Array
    input_shift: Array
    output_shift: Array
    output_scale: Array
    error: Array
    jumps: Array
    kinks: Array


def solve(f: Function, depth: float, method: str) -> Solution:
    """Shape f for a network of `depth` layers. Where f has no solution the error is large or NaN."""
    wide = jax.lax.stop_gradient(_sample(f, jnp.asarray(WIDE, float)))
    start, sign = _search(wide, depth, method)
    fine = _sample(f, jnp.exp(start[0]) * jnp.asarray(FINE, float) + start[1])
    return _refine(fine, start, sign, depth, method)


def _sample(f: Function, x: Array) -> Samples:
    return jax.jit(sample, static_argnums=0)(f, x)


@partial(jax.jit, static_argnums=2)
def _search(wide: Samples, depth: Array, method: str) -> tuple[Array, Array]:
    """Log a, b and the sign of the solution whose Q is nearest to the identity, or NaN."""
    nodes = jnp.asarray(COARSE, float)
    signs, starts = jnp.asarray(METHODS[method].signs), jnp.asarray(STARTS, float)

    def near(at: Array) -> Samples:
        return _interpolated(wide, jnp.exp(at[0]) * nodes + at[1])

    def descended(start: Array, sign: Array) -> tuple[Array, Array]:
        def step(_: int, at: Array) -> Array:
            return at - _newton(near(at), at, sign, depth, method)

        at = jax.lax.fori_loop(0, 12, step, start)
        samples = near(at)
        error = _errors(samples, at, sign, depth, method)
        return at, jnp.where(jnp.abs(error).max() < 0.05, _distortion(wide, samples, at, sign, method), jnp.inf)

    found, distortion = jax.vmap(jax.vmap(descended, (0, None)), (None, 0))(starts, signs)
    best = jnp.argmin(jnp.where(jnp.isnan(distortion), jnp.inf, distortion))
    at = found.reshape(-1, 2)[best]
    return jnp.where(jnp.isfinite(distortion.ravel()[best]), at, jnp.nan), signs[best // len(starts)]


def _interpolated(wide: Samples, x: Array) -> Samples:
    place = jnp.clip((x - WIDE[0]) / (WIDE[1] - WIDE[0]), 0, POINTS - 1.001)
    left = place.astype(int)
    share = place - left
    return Samples(x, *((1 - share) * y[left] + share * y[left + 1] for y in wide[1:]))


def _distortion(wide: Samples, samples: Samples, at: Array, sign: Array, method: str) -> Array:
    """How far log Q(q) is from log q at q = 1/2 and 2; a little more for b < 0, which decides between mirror images."""
    a, b = jnp.exp(at[0]), at[1]
    m = moments(samples, a, b)
    mean, scale = METHODS[method].outputs(m, sign)
    total = jnp.where(b < 0, 1e-4, 0.0)
    for q in (0.5, 2.0):
        spread = Samples(*_interpolated(wide, a * q**0.5 * COARSE + b))
        other = moments(spread, a * q**0.5, b)
        square = (other.mean - m.mean + mean) ** 2 + other.slope**2 + other.rest
        total += jnp.log(scale**2 * square / q) ** 2
    return total


@partial(jax.jit, static_argnums=4)
def _refine(fine: Samples, start: Array, sign: Array, depth: Array, method: str) -> Solution:
    frozen = jax.lax.stop_gradient(fine)
    at = jax.lax.fori_loop(0, 6, lambda _, at: at - _newton(frozen, at, sign, depth, method), start)
    for _ in range(2):
        at = at - _newton(fine, at, sign, depth, method)
    a, b = jnp.exp(at[0]), at[1]
    m = moments(fine, a, b)
    mean, scale = METHODS[method].outputs(m, sign)
    error = jnp.abs(_errors(fine, at, sign, depth, method)).max()
    moved = jnp.maximum(jnp.abs(at - start)[0], jnp.abs(b - start[1]) / a)
    return Solution(a, b, mean - m.mean, scale, jnp.where(moved < 0.5, error, jnp.nan), *_roughness(fine, at))


def _errors(samples: Samples, at: Array, sign: Array, depth: Array, method: str) -> Array:
    return METHODS[method].errors(moments(samples, jnp.exp(at[0]), at[1]), sign, depth)


def _newton(samples: Samples, at: Array, sign: Array, depth: Array, method: str) -> Array:
    """The step to subtract from (log a, b), of limited length."""

    def errors(at: Array) -> tuple[Array, Array]:
        error = _errors(samples, at, sign, depth, method)
        return error, error

    ((p, q), (r, s)), (e, f) = jax.jacfwd(errors, has_aux=True)(at)
    step = jnp.stack([s * e - q * f, p * f - r * e]) / (p * s - q * r)
    return jnp.clip(jnp.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0), -LARGEST_STEP, LARGEST_STEP)


def _roughness(fine: Samples, at: Array) -> tuple[Array, Array]:
    spacing = fine.x[1] - fine.x[0]
    t = (fine.x - at[1]) / jnp.exp(at[0])
    weight = jnp.exp(-t * t / 2)[1:]

    def excess(y: Array, derivative: Array) -> Array:
        return jnp.vdot(weight, (jnp.diff(y) / spacing) ** 2) / jnp.vdot(weight, derivative[1:] ** 2) - 1

    return excess(fine.value, fine.slope), excess(fine.slope, fine.curvature)
