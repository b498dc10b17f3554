"""How long an activation and its vector-Jacobian product take, against a copy of the array and against the rivals."""

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

Function = Callable[..., jax.Array]
Pair = tuple[float, float]


def fastest(programs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest run of each program.

    The programs take turns, so that other load on the machine affects all alike; a first round warms up.

    Args:
        programs: functions without arguments that return arrays.
        rounds: how many times each is timed.
    """
    best = dict.fromkeys(programs, float("inf"))
    for turn in range(rounds + 1):
        for name, run in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def programs(functions: dict[str, Function], shape: tuple[int, int], dtype: Any) -> dict[str, Callable[[], Any]]:
    """Compiled programs of values and vector-Jacobian products, and of a copy of the array.

    Args:
        functions: functions of one array, by name.
        shape: of the array.
        dtype: of the array.

    Returns:
        "copy", which writes the negated array, and for each function "<name> value" and "<name> vjp", to be called
        without arguments. The vector-Jacobian product is what a backward pass adds to a forward pass that kept x.
    """
    x = jax.ShapeDtypeStruct(shape, dtype)
    copy: Any = jax.jit(jnp.negative).lower(x).compile()
    ramp = partial(_ramp, shape, dtype)
    made: dict[str, Callable[[], Any]] = {"copy": _deferred(copy, ramp)}
    for name, f in functions.items():
        out = jax.eval_shape(f, x)
        value: Any = jax.jit(f).lower(x).compile()
        vjp: Any = jax.jit(lambda x, t, f=f: jax.vjp(f, x)[1](t)[0]).lower(x, out).compile()
        made[f"{name} value"] = _deferred(value, ramp)
        made[f"{name} vjp"] = _deferred(vjp, ramp, partial(_ones, out.shape, out.dtype))
    return made


def _deferred(program: Callable[..., Any], *arrays: Callable[[], jax.Array]) -> Callable[[], Any]:
    """A call of the program that makes its (cached) arrays only when it runs."""
    return lambda: program(*(array() for array in arrays))


@cache
def _ramp(shape: tuple[int, int], dtype: Any) -> jax.Array:
    return jnp.linspace(-6.0, 6.0, shape[0] * shape[1], dtype=jnp.float32).astype(dtype).reshape(shape)


@cache
def _ones(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    return jnp.ones(shape, dtype)


def ratios_to_copy(made: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Pair]:
    """(value, vjp) of each function of `programs`, in units of the time of the copy."""
    seconds = fastest(made, rounds)
    names = [name.removesuffix(" value") for name in made if name.endswith(" value")]
    return {n: (seconds[f"{n} value"] / seconds["copy"], seconds[f"{n} vjp"] / seconds["copy"]) for n in names}


def ratios_to_first(
    blocks: dict[str, Function], shapes: tuple[tuple[int, ...], ...], dtype: Any, rounds: int
) -> dict[str, Pair]:
    """(value, value with gradients) of blocks of several arrays, in units of the first block's times.

    Args:
        blocks: functions of the same arrays, by name.
        shapes: of the arrays; they are differentiated in all of them.
        dtype: of the arrays.
        rounds: how many times each is timed.
    """
    keys = jax.random.split(jax.random.key(0), len(shapes))
    arrays = [jax.random.normal(key, shape, dtype) for key, shape in zip(keys, shapes, strict=True)]
    runs: dict[str, Callable[[], Any]] = {}
    for name, block in blocks.items():
        runs[f"{name} value"] = partial(jax.jit(block), *arrays)
        runs[f"{name} gradients"] = partial(jax.jit(_gradients(block)), *arrays)
    seconds = fastest(runs, rounds)
    first = next(iter(blocks))
    both = ("value", "gradients")
    return {n: tuple(seconds[f"{n} {k}"] / seconds[f"{first} {k}"] for k in both) for n in blocks}  # type: ignore[misc]


def _gradients(block: Function) -> Function:
    def run(*arrays: jax.Array) -> Any:
        value, back = jax.vjp(block, *arrays)
        return value, back(jnp.ones_like(value))

    return run
