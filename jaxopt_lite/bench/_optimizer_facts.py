"""Exact figures of optimizer steps: costs of the compiled program, traces, and effects of faults. Nothing is timed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite import optimizers as opt

ENTRIES = 1 << 20
KINDS = ("zero", "tiny", "huge")


def pairs() -> dict[str, tuple[Any, Any]]:
    """Every optimizer of the catalogue that optax has too, and some wrappers: ours and optax's of equal settings."""
    out = {}
    for name, row in opt.CATALOGUE.items():
        function, fixed = getattr(row.function, "func", row.function), getattr(row.function, "keywords", {})
        theirs = getattr(optax, function.__name__, None)
        if theirs is not None:
            out[name] = (row.function(1e-3), theirs(1e-3, **fixed))
    clipped = opt.chain(opt.clip_by_global_norm(1.0), opt.adamw(1e-3))
    out["clip + adamw"] = (clipped, optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)))
    out["accumulate(adamw, 4)"] = (opt.accumulate(opt.adamw(1e-3), 4), optax.MultiSteps(optax.adamw(1e-3), 4))
    out["guard(adamw)"] = (opt.guard(opt.adamw(1e-3)), optax.apply_if_finite(optax.adamw(1e-3), 5))
    return out


def catalogue_pairs() -> dict[str, tuple[Any, Any]]:
    """The pairs that are optimizers of the catalogue."""
    return {name: pair for name, pair in pairs().items() if name in opt.CATALOGUE}


def stepper(tx: Any) -> Callable[..., Any]:
    """A whole step, to be jitted with parameters and state donated.

    Arguments and results have the same order, because JAX assigns donated memory to results in order of appearance;
    another order costs copies of every moment.
    """

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


def compiled_facts(tx: Any, entries: int = ENTRIES) -> dict[str, float]:
    """Per entry: bytes moved, flops, temporary bytes and bytes of state; and the share of donated memory reused."""
    params = jnp.zeros(entries)
    state = tx.init(params)
    program: Any = jax.jit(stepper(tx), donate_argnums=(0, 1)).lower(params, state, params).compile()
    cost, memory = program.cost_analysis(), program.memory_analysis()
    donated = memory.argument_size_in_bytes - params.nbytes
    return {
        "bytes": cost["bytes accessed"] / entries,
        "flops": cost["flops"] / entries,
        "temporary": memory.temp_size_in_bytes / entries,
        "aliased": memory.alias_size_in_bytes / donated,
        "state": sum(x.nbytes for x in jax.tree.leaves(state)) / entries,
    }


NOT_POSSIBLE = None


def traces() -> dict[str, tuple[int | None, int | None]]:
    """How often a jitted step is traced for eight settings of adamw, ours and optax's, by how the settings reach it.

    None where a library has no such way: a transform of optax is not a pytree of numbers.
    """
    settings = [(rate, decay) for rate in (1e-4, 1e-3, 1e-2, 1e-1) for decay in (0.0, 0.1)]
    ours = [opt.adamw(rate, weight_decay=decay) for rate, decay in settings]
    theirs = [optax.adamw(rate, weight_decay=decay) for rate, decay in settings]
    injected = optax.inject_hyperparams(optax.adamw)(1e-3, weight_decay=0.0)
    return {
        "the transform is an argument": (_argument(ours), NOT_POSSIBLE),
        "its `update` is a static argument": (_static(ours), _static(theirs)),
        "settings in the state (ours: as always; optax: `inject_hyperparams`)": (
            _in_state(ours[0], opt.with_settings, settings),
            _in_state(injected, _with_hyperparams, settings),
        ),
        "built inside jit from traced numbers": (_inside(opt.adamw, settings), _inside(optax.adamw, settings)),
        "`nnx.jit`, `flax.Optimizer` and `nnx.Optimizer`": (_nnx(ours, True), _nnx(theirs, False)),
        "`nnx.jit`, the same with `inject_hyperparams`": (NOT_POSSIBLE, _nnx([injected] * len(settings), False)),
        "five equal optimizers as a static argument": (
            _whole([opt.adam(1e-2) for _ in range(5)]),
            _whole([optax.adam(1e-2) for _ in range(5)]),
        ),
    }


def _with_hyperparams(state: Any, **settings: float) -> Any:
    arrays = {name: jnp.asarray(value, jnp.float32) for name, value in settings.items()}
    return state._replace(hyperparams=state.hyperparams | arrays)


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


def _in_state(tx: Any, change: Callable[..., Any], settings: list[tuple[float, float]]) -> int:
    def run(called: Any) -> None:
        step = jax.jit(lambda s, p: (called(), tx.update(p, s, p))[1])
        state = tx.init(jnp.ones(3))
        for rate, decay in settings:
            step(change(state, learning_rate=rate, weight_decay=decay), jnp.ones(3))

    return _counted(run)


def _inside(factory: Callable[..., Any], settings: list[tuple[float, float]]) -> int:
    def run(called: Any) -> None:
        @jax.jit
        def step(rate: Any, decay: Any, p: Any) -> Any:
            called()
            tx = factory(rate, weight_decay=decay)
            return tx.update(p, tx.init(p), p)

        for rate, decay in settings:
            step(rate, decay, jnp.ones(3))

    return _counted(run)


def _whole(txs: list[Any]) -> int:
    def run(called: Any) -> None:
        step = jax.jit(lambda tx, p: (called(), tx.update(p, tx.init(p), p))[1], static_argnums=0)
        for tx in txs:
            step(tx, jnp.ones(3))

    return _counted(run)


def _nnx(txs: list[Any], ours: bool) -> int:
    from flax import nnx

    from jaxopt_lite.flax import Optimizer

    def run(called: Any) -> None:
        @nnx.jit
        def step(model: Any, optimizer: Any) -> None:
            called()
            optimizer.update(model, nnx.grad(lambda m: (m(jnp.ones((1, 2))) ** 2).sum())(model))

        for tx in txs:
            model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
            step(model, Optimizer(model, tx) if ours else nnx.Optimizer(model, tx, wrt=nnx.Param))

    return _counted(run)


def faults() -> dict[str, dict[str, tuple[int, int]]]:
    """By dtype and gradient: of all rows of the catalogue, how many give a non-finite update, ours and optax's."""
    table: dict[str, dict[str, tuple[int, int]]] = {}
    rows = catalogue_pairs()
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
