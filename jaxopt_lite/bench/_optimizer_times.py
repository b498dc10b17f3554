"""How long optimizer steps take, against optax, against torch if it is installed, and against the speed of memory."""

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

# Numbers per entry that a step must move, by its moments: parameter, gradient and moments read, all but the gradient
# written.
WORDS = {0: 3, 1: 5, 2: 7, 3: 9}
TORCH = {"sgd": "SGD", "momentum": "SGD", "adam": "Adam", "adamw": "AdamW", "adagrad": "Adagrad"}
MLP = ((64, 64), (64, 64), (64, 10))
CALLS = 20  # of a small step in one timing
Run = Callable[[], Any]


def compared() -> list[str]:
    """The optimizers whose steps are timed: those of the catalogue that optax has, and one with clipping."""
    return [name for name in pairs() if name in opt.CATALOGUE or name == "clip + adamw"]


def medians(runs: dict[str, Run], repeats: int, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Median seconds of each run over rounds in which all take turns; a first round is not counted.

    Every round begins with another run, because the first one finds caches that others have filled.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for nth in range(repeats + 1):
        order = list(runs.items())
        for name, run in order[nth % len(order) :] + order[: nth % len(order)]:
            started = clock()
            jax.block_until_ready(run())
            if nth:
                seconds[name].append(clock() - started)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def running(tx: Any, params: Any, grads: Any) -> Run:
    """One donated step after another."""
    step = jax.jit(stepper(tx), donate_argnums=(0, 1))
    now = [jax.tree.map(jnp.copy, params), tx.init(params)]

    def run() -> Any:
        now[0], now[1] = step(now[0], now[1], grads)
        return now[0]

    return run


def large_leaf(entries: int, repeats: int, names: Iterable[str]) -> dict[str, dict[str, float | None]]:
    """A step of one large leaf: seconds of ours, optax's and torch's, and `limit`, those of moving its numbers once."""
    out: dict[str, dict[str, float | None]] = {}
    params, grads = jnp.ones(entries), jnp.full(entries, 1e-3)
    for name in names:
        ours, theirs = pairs()[name]
        runs = {"ours": running(ours, params, grads), "optax": running(theirs, params, grads), "axpy": axpy(params)}
        torch = torch_step(name, [(entries,)])
        measured: dict[str, float | None] = {**medians(runs | ({"torch": torch} if torch else {}), repeats)}
        words = WORDS[opt.CATALOGUE[name].memory] if name in opt.CATALOGUE else 8
        plain = measured.pop("axpy")
        out[name] = measured | {"limit": (plain or 0.0) * words / 3}
    return out


def axpy(like: jax.Array) -> Run:
    """y ← y + x/2 in place: it reads two numbers and writes one per entry, as fast as memory allows."""
    step = jax.jit(lambda y, x: y + 0.5 * x, donate_argnums=0)
    now, x = [jnp.copy(like)], jnp.copy(like)

    def run() -> Any:
        now[0] = step(now[0], x)
        return now[0]

    return run


def torch_step(name: str, shapes: Iterable[tuple[int, ...]]) -> Run | None:
    """A step of torch's fused optimizer, on a GPU if JAX uses one.

    None where torch has no optimizer of that name, is not installed, or cannot use the device.
    """
    if name not in TORCH or importlib.util.find_spec("torch") is None:
        return None
    import torch

    device = {"cpu": "cpu", "gpu": "cuda"}.get(jax.default_backend())
    if device is None or (device == "cuda" and not torch.cuda.is_available()):
        return None
    params = []
    for shape in shapes:
        param = torch.ones(shape, requires_grad=True, device=device)
        param.grad = torch.full(shape, 1e-3, device=device)
        params.append(param)
    settings: dict[str, Any] = {"lr": 1e-3, "fused": True} | ({"momentum": 0.9} if name == "momentum" else {})
    if name == "adagrad" and device == "cuda":
        settings |= {"fused": False, "foreach": True}  # torch has a fused one for the CPU only
    optimizer = getattr(torch.optim, TORCH[name])(params, **settings)

    def run() -> None:
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def small_tree(repeats: int, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Seconds of a step of a small MLP: eager, jitted, jitted with donation, and torch's fused one."""
    params = {f"layer_{i}": {"w": jnp.ones(shape), "b": jnp.zeros(shape[1])} for i, shape in enumerate(MLP)}
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    out = {}
    for name in names:
        ours, theirs = pairs()[name]
        runs: dict[str, Run] = {}
        for who, tx in (("ours", ours), ("optax", theirs)):
            state = tx.init(params)
            jitted = jax.jit(tx.update)
            runs[f"{who} eager"] = partial(tx.update, params, state, params)
            runs[f"{who} jitted"] = _often(partial(jitted, params, state, params))
            runs[f"{who} donated"] = _often(running(tx, params, params))
        torch = torch_step(name, shapes)
        runs |= {"torch": _often(torch)} if torch else {}
        seconds_of = medians(runs, repeats)
        out[name] = {key: seconds / (1 if key.endswith("eager") else CALLS) for key, seconds in seconds_of.items()}
    return out


def _often(run: Run) -> Run:
    def many() -> Any:
        for _ in range(CALLS):
            last = run()
        return last

    return many


def accumulation(
    entries: int, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, dict[str, float]]:
    """Seconds of a micro-step that only accumulates and of one that emits, for adamw on one leaf; and of an axpy.

    With two micro-steps per step, the odd calls are idle and the even ones emit; each is timed alone.
    """
    params, grads = jnp.ones(entries), jnp.full(entries, 1e-3)
    plain = axpy(params)
    steps = {
        "ours": running(opt.accumulate(opt.adamw(1e-3), 2), params, grads),
        "optax": running(optax.MultiSteps(optax.adamw(1e-3), 2), params, grads),
    }
    seconds: dict[str, dict[str, list[float]]] = {who: {"idle": [], "emitting": [], "axpy": []} for who in steps}
    for nth in range(repeats + 1):
        for who, step in list(steps.items())[:: 1 if nth % 2 else -1]:
            for name, run in (("idle", step), ("emitting", step), ("axpy", plain)):
                started = clock()
                jax.block_until_ready(run())
                if nth:
                    seconds[who][name].append(clock() - started)
    return {who: {name: float(np.median(values)) for name, values in parts.items()} for who, parts in seconds.items()}


def embedding(table_rows: int, width: int, ids: int, repeats: int) -> dict[str, float]:
    """AdaGrad on an embedding table: seconds and temporary bytes of a step on the rows used, and of a dense step."""
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
        now = [jnp.copy(table), state]

        def run(program: Any = program, now: list[Any] = now) -> Any:
            now[0], now[1] = program(now[0], now[1], which, grads)
            return now[0]

        runs[name] = run
    return out | medians(runs, repeats) | {"distinct": float(len(np.unique(drawn)))}


def half_precision(entries: int, repeats: int) -> dict[str, float]:
    """Seconds of Adam's step: bfloat16 parameters rounded in three ways, float32 parameters, and compressed states."""
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
