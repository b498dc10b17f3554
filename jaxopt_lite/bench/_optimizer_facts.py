"""What is exact about optimizer steps: the compiled program's own figures, traces, and what faults do. No clock."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers.wrappers._accumulate import _added

ENTRIES = 1 << 20
KINDS = ("zero", "tiny", "huge")


def pairs() -> dict[str, tuple[Any, Any]]:
    """Every row of the catalogue, and optax's of the same settings."""
    found = {}
    for name, row in opt.CATALOGUE.items():
        function, fixed = getattr(row.function, "func", row.function), getattr(row.function, "keywords", {})
        found[name] = (row.function(1e-3), getattr(optax, function.__name__)(1e-3, **fixed))
    clipped = opt.chain(opt.clip_by_global_norm(1.0), opt.adamw(1e-3))
    found["clip + adamw"] = (clipped, optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)))
    found["accumulate(adamw, 4)"] = (opt.accumulate(opt.adamw(1e-3), 4), optax.MultiSteps(optax.adamw(1e-3), 4))
    found["guard(adamw)"] = (opt.guard(opt.adamw(1e-3)), optax.apply_if_finite(optax.adamw(1e-3), 5))
    return found


def stepper(tx: Any) -> Callable[..., Any]:
    """A whole step, to be jitted with parameters and state donated.

    They come first and go out first, in the same order: donated memory is given to the results in order of
    appearance, and another order costs copies of every moment.
    """

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


def compiled_facts(tx: Any, entries: int = ENTRIES) -> dict[str, float]:
    """Bytes and flops an entry, temporary bytes an entry, the share of donated memory reused, fusions, copies."""
    params = jnp.zeros(entries)
    state = tx.init(params)
    program: Any = jax.jit(stepper(tx), donate_argnums=(0, 1)).lower(params, state, params).compile()
    cost, memory, text = program.cost_analysis(), program.memory_analysis(), program.as_text()
    donated = memory.argument_size_in_bytes - params.nbytes
    return {
        "bytes": cost["bytes accessed"] / entries,
        "flops": cost["flops"] / entries,
        "temporary": memory.temp_size_in_bytes / entries,
        "aliased": memory.alias_size_in_bytes / donated,
        "fusions": text.count(" fusion("),
        "state": sum(x.nbytes for x in jax.tree.leaves(state)) / entries,
    }


def waiting_flops() -> dict[str, float]:
    """Flops an entry of a micro-step that emits nothing.

    Ours: the sum that tells whether the gradient is finite, the addition, and the choice between updates and zeros,
    each a program of its own, as XLA counts the emitting branch whether it is taken or not. Optax computes all in
    every call.
    """
    params = jnp.zeros(ENTRIES)

    def flops(f: Any, *args: Any) -> float:
        program: Any = jax.jit(f).lower(*args).compile()
        return program.cost_analysis()["flops"] / ENTRIES

    flag = jnp.array(True)
    ours = flops(lambda g: jnp.isfinite(jnp.sum(g)), params) + flops(_added, params, params)
    ours += flops(lambda flag, a: jnp.where(flag, a, 0), flag, params)
    theirs = optax.MultiSteps(optax.adamw(1e-3), 4)
    return {"ours": ours, "optax": flops(theirs.update, params, theirs.init(params), params)}


def traces() -> dict[str, tuple[int, int]]:
    """How often a step is traced, by ours and by optax: settings as argument, static, under NNX; equal ones."""
    settings = [(rate, decay) for rate in (1e-4, 1e-3, 1e-2, 1e-1) for decay in (0.0, 0.1)]
    ours = [opt.adamw(rate, weight_decay=decay) for rate, decay in settings]
    theirs = [optax.adamw(rate, weight_decay=decay) for rate, decay in settings]
    return {
        "eight settings, the transform a jit argument": (_argument(ours), _static(theirs)),
        "eight settings, update a static argument": (_static(ours), _static(theirs)),
        "eight settings, nnx.jit": (_nnx(ours, True), _nnx(theirs, False)),
        "five equal optimizers as a static argument": (
            _whole([opt.adam(1e-2) for _ in range(5)]),
            _whole([optax.adam(1e-2) for _ in range(5)]),
        ),
    }


def _counted(run: Callable[[Any], Any]) -> int:
    count = 0

    def called() -> None:
        nonlocal count
        count += 1

    run(called)
    return count


def _argument(txs: list[Any]) -> int:
    def run(called: Any) -> None:
        step = jax.jit(lambda tx, p: (called(), tx.update(p, tx.init(p), p))[1])
        for tx in txs:
            step(tx, jnp.ones(3))

    return _counted(run)


def _static(txs: list[Any]) -> int:
    def run(called: Any) -> None:
        step = jax.jit(lambda update, s, p: (called(), update(p, s, p))[1], static_argnums=0)
        for tx in txs:
            step(tx.update, tx.init(jnp.ones(3)), jnp.ones(3))

    return _counted(run)


def _whole(txs: list[Any]) -> int:
    def run(called: Any) -> None:
        step = jax.jit(lambda tx, p: (called(), tx.update(p, tx.init(p), p))[1], static_argnums=0)
        for tx in txs:
            step(tx, jnp.ones(3))

    return _counted(run)


def _nnx(txs: list[Any], own: bool) -> int:
    from flax import nnx

    from jaxopt_lite.flax import Optimizer

    def run(called: Any) -> None:
        @nnx.jit
        def step(model: Any, optimizer: Any) -> None:
            called()
            optimizer.update(model, nnx.grad(lambda m: (m(jnp.ones((1, 2))) ** 2).sum())(model))

        for tx in txs:
            model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
            step(model, Optimizer(model, tx) if own else nnx.Optimizer(model, tx, wrt=nnx.Param))

    return _counted(run)


def faults() -> dict[str, dict[str, tuple[int, int]]]:
    """By dtype and gradient: of all rows of the catalogue, how many give a non-finite update, ours and optax's."""
    table: dict[str, dict[str, tuple[int, int]]] = {}
    rows = {name: pair for name, pair in pairs().items() if name in opt.CATALOGUE}
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        bad = np.array([[_non_finite(tx, dtype) for tx in pair] for pair in rows.values()]).sum(0)
        table[jnp.dtype(dtype).name] = {kind: (int(bad[0, i]), int(bad[1, i])) for i, kind in enumerate(KINDS)}
    return table


def _non_finite(tx: Any, dtype: Any) -> list[bool]:
    info = jnp.finfo(dtype)
    sizes = jnp.asarray([0.0, float(info.tiny), float(info.max) / 16], jnp.float32).astype(dtype)

    @jax.jit
    @jax.vmap
    def two_steps(size: Any) -> Any:
        params, grads = jnp.ones(4, dtype), jnp.full(4, size, dtype)
        first, state = tx.update(grads, tx.init(params), params)
        return jnp.isfinite(first).all() & jnp.isfinite(tx.update(grads, state, params)[0]).all()

    return [not ok for ok in np.asarray(two_steps(sizes))]


def falling_moment() -> dict[str, float]:
    """Adam's second moment with bfloat16 parameters, 2000 steps after the gradient fell tenfold, against float32."""

    def last(tx: Any, dtype: Any) -> float:
        params = jnp.zeros(256, dtype)
        sizes = jnp.where(jnp.arange(2300) < 300, 1.0, 0.1)

        def step(state: Any, size: Any) -> Any:
            return tx.update(jnp.full_like(params, size), state, params)[1], None

        state = jax.jit(lambda: jax.lax.scan(step, tx.init(params), sizes)[0])()
        return float(jnp.mean(optax.tree_utils.tree_get(state, "nu").astype(jnp.float32)))

    exact = last(opt.adam(1e-3), jnp.float32)
    return {
        "ours": last(opt.adam(1e-3), jnp.bfloat16) / exact,
        "ours, nu_dtype=bfloat16": last(opt.adam(1e-3, nu_dtype=jnp.bfloat16), jnp.bfloat16) / exact,
        "optax": last(optax.adam(1e-3), jnp.bfloat16) / exact,
    }


def after_inf() -> dict[str, bool]:
    """Whether the updates are finite again at the first emission after an infinite micro-batch."""

    def clean(tx: Any) -> bool:
        params = jnp.ones(4)
        state = tx.init(params)
        for k in range(8):
            updates, state = tx.update(jnp.full(4, jnp.inf if k == 1 else 1.0), state, params)
        return bool(jnp.isfinite(updates).all())

    return {"ours": clean(opt.accumulate(opt.adamw(1e-3), 4)), "optax": clean(optax.MultiSteps(optax.adamw(1e-3), 4))}
