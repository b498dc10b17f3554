"""How long an activation and its vector-Jacobian product take, against a copy of the array."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Function = Callable[[jax.Array], jax.Array]


def fastest(run: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest of `repeats` runs, after one that is not counted."""
    jax.block_until_ready(run())
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        best = min(best, time.perf_counter() - start)
    return best


def ratios_to_copy(functions: dict[str, Function], n: int, repeats: int) -> dict[str, tuple[float, float]]:
    """(f, vjp) in units of the time to write the negated array of n float32 numbers, all measured in turn.

    The vjp is what a backward pass adds: slope(x) × cotangent, from x.
    """
    x = jnp.linspace(-6.0, 6.0, n, dtype=jnp.float32)
    t = jnp.ones_like(x)
    programs = {name: (jax.jit(f), jax.jit(_backward(f))) for name, f in functions.items()}
    copy = jax.jit(jnp.negative)
    unit = fastest(lambda: copy(x), repeats)
    return {
        name: (fastest(lambda: value(x), repeats) / unit, fastest(lambda: back(x, t), repeats) / unit)  # noqa: B023
        for name, (value, back) in programs.items()
    }


def _backward(f: Function) -> Callable[[jax.Array, jax.Array], jax.Array]:
    return lambda x, t: jax.vjp(f, x)[1](t)[0]
