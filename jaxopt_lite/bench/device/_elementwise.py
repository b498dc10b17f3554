"""Time and accuracy of the activations on a device, against `jax.nn` and against a copy of the array."""

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_accuracy import DTYPES, all_halves, audit, orders, reference, some_singles
from jaxopt_lite.bench._activation_rivals import in_jax_nn, plain
from jaxopt_lite.bench._activation_time import programs

TIMED = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def queued(runs: dict[str, Callable[[], Any]], rounds: int, calls: int) -> dict[str, float]:
    """Seconds of one call of each program, when calls are queued one behind the other.

    The host then prepares the next call while the device works, as in a training loop. The programs take turns, a first
    round warms up, and the fastest round counts.

    Args:
        runs: functions without arguments that return arrays.
        rounds: how many times each is timed.
        calls: how many calls are queued in one timing.
    """
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(rounds + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            for _ in range(calls):
                out = run()
            jax.block_until_ready(out)
            if turn:
                best[name] = min(best[name], (time.perf_counter() - begin) / calls)
    return best


def times(names: Iterable[str], shape: tuple[int, int], rounds: int, calls: int) -> dict[str, dict[str, Any]]:
    """For each activation and dtype, the times of value and vector-Jacobian product.

    Args:
        names: rows of the catalogue.
        shape: of the arrays.
        rounds: how many times each is timed.
        calls: how many calls are queued in one timing.

    Returns:
        For each name and dtype `value` and `vjp`, each with `copy`, the ratio to the time of a copy of the array, and
        `rival`, the ratio to `jax.nn`'s function or the formula in `jax.numpy`, where there is one.
    """
    jobs = [(name, dtype) for name in names for dtype in TIMED]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda job: programs(_functions(job[0]), shape, TIMED[job[1]]), jobs))
    found: dict[str, dict[str, Any]] = {name: {} for name, _ in jobs}
    for (name, dtype), runs in zip(jobs, made, strict=True):
        seconds = queued(runs, rounds, calls)
        found[name][dtype] = {
            part: {
                "copy": seconds[f"ours {part}"] / seconds["copy"],
                "rival": seconds[f"ours {part}"] / seconds[f"rival {part}"] if f"rival {part}" in seconds else None,
            }
            for part in ("value", "vjp")
        }
    return found


def _functions(name: str) -> dict[str, Callable[..., Any]]:
    row, rival = CATALOGUE[name], plain(name)
    return {"ours": partial(row.function, **row.settings)} | ({"rival": rival} if rival else {})


def errors(names: Iterable[str], stride: int, halves: int) -> dict[str, dict[str, Any]]:
    """For each activation, library and dtype, the largest errors in ulp of value, slope and curvature on this device.

    Args:
        names: rows of the catalogue.
        stride: every stride-th pattern of float32 is tried.
        halves: every so many-th pattern of the 16-bit types is tried.

    Returns:
        For each name and library (`jaxopt_lite`, and `jax.nn` where it has the function), by dtype: the `ulp` of value,
        slope and curvature, and `broken`, how many results that should be finite are not.
    """

    def one(name: str) -> dict[str, Any]:
        row = CATALOGUE[name]
        evaluators = {"jaxopt_lite": orders(row.probe)}
        if theirs := in_jax_nn(name):
            evaluators["jax.nn"] = orders(row._replace(function=theirs, settings={}, initial={}).probe)
        figures: dict[str, Any] = {library: {} for library in evaluators}
        for dtype in DTYPES:
            x = some_singles(stride) if dtype == "float32" else all_halves(dtype)[::halves]
            against = reference(name, dtype, x)
            for library, evaluate in evaluators.items():
                found = audit(against, evaluate)
                figures[library][dtype] = {"ulp": [e.ulp for e in found], "broken": sum(e.broken for e in found)}
        return figures

    chosen = list(names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(chosen, pool.map(one, chosen), strict=True))
