"""Solves the conditions of a shaped activation.

JAX samples the activation twice: on a wide grid, where a search finds the approximate solution, and on a fine grid at
the scale of that, where Newton's method refines it. If the activation is known the samples are in float64, and NumPy
does the rest without compilation. If it has traced numbers, the search is a callback and the rest is part of the traced
program, in its precision. Derivatives flow through the fine samples and two steps of Newton's method from the solution:
they are those of the solution, by the implicit function theorem.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations._shaping.conditions import METHODS
from jaxopt_lite.activations._shaping.function import is_traced, untraced
from jaxopt_lite.activations._shaping.moments import Samples, namespace, sample
from jaxopt_lite.activations._shaping.newton import newton
from jaxopt_lite.activations._shaping.normal import normal_grid
from jaxopt_lite.activations._shaping.search import WIDE, search

Array = Any
FINE = normal_grid(20 / len(WIDE))[0]


class Solution(NamedTuple):
    """The numbers of x -> output_scale * (f(input_scale * x + input_shift) + output_shift), and what the solver found.

    Attributes:
        input_scale: a.
        input_shift: b.
        output_shift: d.
        output_scale: p.
        error: the largest relative error of the conditions; NaN if there is no solution.
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


def solve(f: Callable[[jax.Array], jax.Array], depth: float, method: str) -> Solution:
    """Shape f for a network of `depth` layers. The numbers are NumPy's, or traced ones if f has such."""
    if is_traced(f):
        return _traced(f, method, depth)
    return (_remembered if _is_hashable(f) else _known)(f, method, depth)


def _is_hashable(f: Any) -> bool:
    try:
        return isinstance(hash(f), int)
    except TypeError:  # a module with arrays
        return False


def _known(f: Callable[[jax.Array], jax.Array], method: str, depth: float) -> Solution:
    program = jax.jit(partial(sample, f))

    def sampled(x: Array) -> Samples:
        return Samples(*map(np.asarray, program(jnp.asarray(x))))

    with untraced(), _x64(), np.errstate(all="ignore"):
        start = search(sampled(WIDE), method, depth)
        return _refined(sampled(start[0] * FINE + start[1]), start, method, depth, 8)


_remembered = lru_cache(maxsize=256)(_known)


def _traced(f: Callable[[jax.Array], jax.Array], method: str, depth: float) -> Solution:
    def found(*wide: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            numbers = search(Samples(*(np.asarray(y, np.float64) for y in wide)), method, depth)
        return tuple(np.asarray(number, result.dtype) for number in numbers)

    sampled = jax.jit(partial(sample, f))
    wide = jax.lax.stop_gradient(sampled(jnp.asarray(WIDE, float)))
    result = jax.ShapeDtypeStruct((), wide.value.dtype)
    start = jax.pure_callback(found, (result,) * 3, *wide, vmap_method="sequential")
    fine = sampled(start[0] * FINE + start[1])
    return jax.jit(_refined, static_argnums=(2, 3, 4))(fine, start, method, depth, 3)


def _x64() -> AbstractContextManager[Any]:
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # type: ignore[attr-defined]

    return enable_x64()


def _refined(fine: Samples, start: tuple[Array, ...], method: str, depth: float, steps: int) -> Solution:
    """The solution by Newton's method from an approximate one."""
    xp, samples = namespace(fine.value), Samples(*(y[None] for y in fine))
    start_a, start_b, sign = (xp.asarray(number)[None] for number in start)
    a, b, error, m = newton(lambda *_: samples, start_a, start_b, sign, method, depth, steps)
    mean, scale = METHODS[method].outputs(m, sign)
    nearby = (abs(xp.log(a / start_a)) < 0.5) & (abs(b - start_b) < 4 * a)  # else the samples are at the wrong places
    numbers = a, b, mean - m.mean, scale, xp.where(nearby, error, np.nan), *_roughness(fine, a, b)
    return Solution(*(y.reshape(()) for y in numbers))


def _roughness(fine: Samples, a: Array, b: Array) -> tuple[Array, Array]:
    spacing = fine.x[1] - fine.x[0]
    weight = namespace(fine.value).exp(-(((fine.x - b) / a) ** 2) / 2)[1:]

    def excess(y: Array, derivative: Array) -> Array:
        return (weight * ((y[1:] - y[:-1]) / spacing) ** 2).sum() / (weight * derivative[1:] ** 2).sum() - 1

    return excess(fine.value, fine.slope), excess(fine.slope, fine.curvature)
