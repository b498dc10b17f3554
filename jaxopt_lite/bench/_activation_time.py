"""How long an activation and its vector-Jacobian product take, against a copy of the array."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Function = Callable[[jax.Array], jax.Array]


def fastest(programs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest run of each; they take turns, so that what else the machine does meets all alike."""
    best = dict.fromkeys(programs, float("inf"))
    for turn in range(rounds + 1):
        for name, run in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            if turn:  # the first turn compiles
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def ratios_to_copy(functions: dict[str, Function], n: int, rounds: int) -> dict[str, tuple[float, float]]:
    """(f, vjp) in units of the time to write the negated array of n float32 numbers, all measured in turns.

    The vjp is what a backward pass adds: slope(x) × cotangent, from x.
    """
    x = jnp.linspace(-6.0, 6.0, n, dtype=jnp.float32)
    t = jnp.ones_like(x)
    programs: dict[str, Callable[[], Any]] = {"copy": partial(jax.jit(jnp.negative), x)}
    for name, f in functions.items():
        programs[f"{name} value"] = partial(jax.jit(f), x)
        programs[f"{name} vjp"] = partial(jax.jit(_backward(f)), x, t)
    seconds = fastest(programs, rounds)
    return {
        name: (seconds[f"{name} value"] / seconds["copy"], seconds[f"{name} vjp"] / seconds["copy"])
        for name in functions
    }


def _backward(f: Function) -> Callable[[jax.Array, jax.Array], jax.Array]:
    return lambda x, t: jax.vjp(f, x)[1](t)[0]
