"""How long optimizer steps take: against optax, against torch where it is installed, and against memory's own speed."""

import importlib.util
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite import optimizers as opt
from jaxopt_lite.bench._optimizer_facts import pairs, stepper
from jaxopt_lite.optimizers import rows

# Words that a step must move: parameter, gradient and every state read; parameter and every state written.
WORDS = {0: 3, 1: 5, 2: 7, 3: 9}
ROWS = (*opt.CATALOGUE, "clip + adamw")
TORCH = {"sgd": "SGD", "momentum": "SGD", "adam": "Adam", "adamw": "AdamW", "adagrad": "Adagrad"}


def medians(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each, measured in turn, round by round, so that a busy machine slows all alike."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for k in range(repeats + 1):
        # In turns: who comes first in a round finds the caches and pages that another left, and loses by it.
        order = list(runs.items())
        for name, run in order[k % len(order) :] + order[: k % len(order)]:
            start = time.perf_counter()
            jax.block_until_ready(run())
            if k:
                taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in taken.items()}


def running(tx: Any, params: Any, grads: Any) -> Callable[[], Any]:
    """One donated step after another."""
    step = jax.jit(stepper(tx), donate_argnums=(0, 1))
    held = [jax.tree.map(jnp.copy, params), tx.init(params)]

    def run() -> Any:
        held[0], held[1] = step(held[0], held[1], grads)
        return held[0]

    return run


def large_leaf(entries: int, repeats: int, names: Iterable[str] = ROWS) -> dict[str, dict[str, float | None]]:
    """A step of one large leaf: seconds of ours, optax's, torch's, and of its words at memory's speed."""
    out: dict[str, dict[str, float | None]] = {}
    params, grads = jnp.ones(entries), jnp.full(entries, 1e-3)
    for name in names:
        ours, theirs = pairs()[name]
        runs = {"ours": running(ours, params, grads), "optax": running(theirs, params, grads), "axpy": _axpy(params)}
        torch = _torch(name, entries)
        measured: dict[str, float | None] = {**medians(runs | ({"torch": torch} if torch else {}), repeats)}
        words = WORDS[opt.CATALOGUE[name].memory] if name in opt.CATALOGUE else 8
        axpy = measured.pop("axpy")
        out[name] = measured | {"limit": (axpy or 0.0) * words / 3}
    return out


def _axpy(like: jax.Array) -> Callable[[], Any]:
    """y ← y + a·x in place: two words read, one written, which is as fast as memory goes."""
    step = jax.jit(lambda y, x: y + 0.5 * x, donate_argnums=0)
    held, x = [jnp.copy(like)], jnp.copy(like)

    def run() -> Any:
        held[0] = step(held[0], x)
        return held[0]

    return run


def _torch(name: str, entries: int) -> Callable[[], Any] | None:
    if name not in TORCH or importlib.util.find_spec("torch") is None:
        return None
    import torch

    p = torch.ones(entries, requires_grad=True)
    p.grad = torch.full((entries,), 1e-3)
    settings: dict[str, Any] = {"lr": 1e-3, "fused": True} | ({"momentum": 0.9} if name == "momentum" else {})
    optimizer = getattr(torch.optim, TORCH[name])([p], **settings)
    return lambda: optimizer.step()


def small_tree(repeats: int, names: Iterable[str] = tuple(opt.CATALOGUE)) -> dict[str, dict[str, float]]:
    """A step of an MLP with six leaves and 9,000 entries: eager, jitted, jitted and donated; seconds."""
    sizes = ((64, 64), (64, 64), (64, 10))
    params = {f"layer_{i}": {"w": jnp.ones(s), "b": jnp.zeros(s[1])} for i, s in enumerate(sizes)}
    out = {}
    for name in names:
        ours, theirs = pairs()[name]
        runs: dict[str, Callable[[], Any]] = {}
        for who, tx in (("ours", ours), ("optax", theirs)):
            state = tx.init(params)
            jitted = jax.jit(tx.update)
            runs[f"{who} eager"] = partial(tx.update, params, state, params)
            runs[f"{who} jitted"] = _often(partial(jitted, params, state, params), 20)
            runs[f"{who} donated"] = _often(running(tx, params, params), 20)
        taken = medians(runs, repeats)
        out[name] = {k: v / (1 if k.endswith("eager") else 20) for k, v in taken.items()}
    return out


def _often(run: Callable[[], Any], times: int) -> Callable[[], Any]:
    def many() -> Any:
        for _ in range(times):
            last = run()
        return last

    return many


def accumulation(entries: int, repeats: int) -> dict[str, float]:
    """Seconds of a micro-step that emits nothing, and of a bare addition."""
    params, grads = jnp.ones(entries), jnp.full(entries, 1e-3)
    many = 1 << 20
    runs = {
        "ours": running(opt.accumulate(opt.adamw(1e-3), many), params, grads),
        "optax": running(optax.MultiSteps(optax.adamw(1e-3), many), params, grads),
        "axpy": _axpy(params),
    }
    return medians(runs, repeats)


def embedding(table_rows: int, width: int, ids: int, repeats: int) -> dict[str, float]:
    """AdaGrad of a table: seconds and temporary bytes of the rows' step and of the dense one."""
    table = jnp.zeros((table_rows, width))
    drawn = np.minimum(np.random.default_rng(0).zipf(1.2, ids) - 1, table_rows - 1)
    which, grads = jnp.asarray(drawn, jnp.int32), jnp.ones((ids, width))
    sparse, dense = rows.adagrad(0.1), opt.adagrad(0.1)

    def dense_step(table: Any, state: Any, which: Any, grads: Any) -> Any:
        whole = jnp.zeros_like(table).at[which].add(grads)
        updates, state = dense.update(whole, state, table)
        return table + updates, state

    out: dict[str, float] = {}
    runs: dict[str, Callable[[], Any]] = {}
    for name, step, state in (("rows", sparse.update, sparse.init(table)), ("dense", dense_step, dense.init(table))):
        program: Any = jax.jit(step, donate_argnums=(0, 1)).lower(table, state, which, grads).compile()
        out[f"{name} temporary"] = float(program.memory_analysis().temp_size_in_bytes)
        held = [jnp.copy(table), state]

        def run(program: Any = program, held: list[Any] = held) -> Any:
            held[0], held[1] = program(held[0], held[1], which, grads)
            return held[0]

        runs[name] = run
    return out | medians(runs, repeats) | {"distinct": float(len(np.unique(drawn)))}


def half_precision(entries: int, repeats: int) -> dict[str, float]:
    """Adam's step of bfloat16 parameters, seconds: to nearest, at random, with a split master; and coded states."""
    half, full = jnp.ones(entries, jnp.bfloat16), jnp.ones(entries)
    tx = opt.adam(1e-3)
    runs = {
        "nearest": running(tx, half, half),
        "stochastic_rounding": running(opt.stochastic_rounding(tx), half, half),
        "split_master": running(opt.split_master(tx), half, half),
        "float32": running(tx, full, full),
        "compress": running(opt.compress(tx), full, full),
    }
    return medians(runs, repeats)
