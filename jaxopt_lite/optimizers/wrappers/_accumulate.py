"""Large batches in small pieces: gradients are summed over micro-steps, the optimizer runs on their mean."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import next_count, real, working
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers._trees import check_params
from jaxopt_lite.optimizers.wrappers._shards import all_shards, varying_like_result


class AccumulateState(NamedTuple):
    """The sum so far and what it is made of.

    `count` updates made, `micro` micro-steps since the last, `taken` of them finite, `skipped` non-finite ones in all.
    `total` is the sum while `taken` > 0, and whatever was there before otherwise.
    """

    count: Any
    settings: dict[str, Any]
    micro: Any
    taken: Any
    skipped: Any
    total: Any
    inner: Any


class Accumulate(NamedTuple):
    """The rule of `accumulate`."""

    name: str = "accumulate"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> AccumulateState:
        """Nothing summed yet."""
        check_params(self.name, params)
        zero = [jnp.zeros((), jnp.int32) for _ in range(4)]
        return AccumulateState(
            count=zero[0],
            settings=copied(self.name, data, fixed),
            micro=zero[1],
            taken=zero[2],
            skipped=zero[3],
            total=jax.tree.map(lambda p: jnp.zeros_like(p, dtype=working(p.dtype)), params),
            inner=parts["tx"].init(params),
        )

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, AccumulateState]:
        """Add the gradient; at the last micro-step run the optimizer on the mean, else give zero updates."""
        state = gathered(grads, state)
        steps = resolved(state.settings, fixed, state.count)["steps"]
        full = state.micro >= jnp.round(steps).astype(jnp.int32)
        emit = full & (state.taken > 0)

        def optimize(value: Any, operands: Any) -> Any:
            total, inner = value
            count, params, arrays = operands
            mean = jax.tree.map(lambda a, g: (a / count.astype(real(a.dtype))).astype(g.dtype), total, grads)
            updates, inner = parts["tx"](mean, inner, params, **_merged(extra, arrays))
            return jax.tree.map(lambda u, a: u.astype(a.dtype), updates, total), inner

        # The sum's own memory takes the updates: no other tree of the parameters' size is needed, emitting or not.
        taken = jnp.maximum(state.taken, 1)
        total, inner = run_if(emit, optimize, (state.total, state.inner), (taken, params, _arrays(extra)))
        updates = jax.tree.map(lambda a, g: jnp.where(emit, a, jnp.zeros_like(a)).astype(g.dtype), total, grads)
        return updates, state._replace(
            count=jnp.where(emit, next_count(state.count), state.count),
            micro=jnp.where(full, 0, state.micro),
            taken=jnp.where(full, 0, state.taken),
            total=total,
            inner=inner,
        )


def gathered(grads: Any, state: AccumulateState) -> AccumulateState:
    """One micro-step: the gradient added to the sum, or, if it is not finite, counted and left out."""
    # A sum is finite unless an entry is not (or it overflows): one addition an entry, where isfinite and all are two.
    ok = all_shards(jnp.isfinite(sum(jnp.sum(g.astype(working(g.dtype))) for g in jax.tree.leaves(grads))))
    first = state.taken == 0
    total = run_if(ok & first, _begun, state.total, grads)
    total = run_if(ok & ~first, _added, total, grads)
    one = ok.astype(jnp.int32)
    return state._replace(
        micro=state.micro + 1, taken=state.taken + one, skipped=next_count(state.skipped) - one, total=total
    )


def run_if(flag: jax.Array, function: Callable[[Any, Any], Any], value: Any, operands: Any) -> Any:
    """`function(value, operands)` if `flag`, else `value`, which keeps its memory; both have equal types.

    `lax.cond` copies what passes through it on XLA:CPU, even in the branch that does nothing: 8 bytes a parameter and
    up to 50 times the time of the addition. A loop of zero or one iterations updates its value in place. Loops have no
    reverse derivative, so the derivative is that of the condition. All arrays to differentiate must come in by `value`
    and `operands`.
    """
    value = varying_like_result(function, value, operands)

    @jax.custom_jvp
    def once(flag: Any, value: Any, operands: Any) -> Any:
        def body(carry: tuple) -> tuple:
            return carry[0] & False, function(carry[1], operands)

        return jax.lax.while_loop(lambda carry: carry[0], body, (flag, value))[1]

    @once.defjvp
    def _(primals: tuple, tangents: tuple) -> Any:
        def branched(value: Any, operands: Any) -> Any:
            return jax.lax.cond(primals[0], function, lambda value, operands: value, value, operands)

        return jax.jvp(branched, primals[1:], tangents[1:])

    return once(flag, value, operands)


def _begun(total: Any, grads: Any) -> Any:
    return jax.tree.map(lambda a, g: g.astype(a.dtype), total, grads)


def _added(total: Any, grads: Any) -> Any:
    return jax.tree.map(lambda a, g: a + g.astype(a.dtype), total, grads)


def _arrays(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if not callable(value)}


def _merged(extra: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {**extra, **arrays}


def accumulate(tx: Any, steps: Any) -> Transform:
    """Run `tx` only at every `steps`-th call, on the mean of the gradients since: large batches in small pieces.

    In between the updates are zero and a call costs one addition an entry. The sum is kept in float32. A micro-batch
    whose gradient is not finite is left out of the mean and counted in `state.skipped`; if all are, nothing is
    emitted. Equal micro-batches give what their union would, up to rounding.

    `tx` is a transform of ours or of optax, `steps` ≥ 1 a number, an array, a tracer or a schedule of the updates
    made. Under `vmap` both branches run, as there a condition is a selection: scan with `mean_gradients` there.

    Raises `ValueError` for a number of steps below 1.

    >>> tx = accumulate(sgd(0.1), 2)
    >>> state = tx.init(jnp.zeros(1))
    >>> first, state = tx.update(jnp.array([1.0]), state)
    >>> second, state = tx.update(jnp.array([3.0]), state)
    >>> float(first[0]), round(float(second[0]), 3)
    (0.0, -0.2)
    """
    if isinstance(steps, int | float) and not isinstance(steps, bool) and (steps < 1 or steps != int(steps)):
        raise ValueError(f"accumulate: steps={steps} must be a whole number of micro-batches, 1 or more")
    return build(Accumulate(), {"steps": steps}, {}, {"tx": tx})


def mean_gradients(gradient: Callable[..., Any], params: Any, batches: Any) -> Any:
    """The mean of `gradient(params, batch)` over the leading axis of `batches`, one after another in one program.

    The memory of one micro-batch, no optimizer step in between, and unlike `accumulate` nothing wasted under `vmap`.
    Summed in float32; non-finite gradients are left out. Gives a tree shaped like `params`, in its dtypes, zero if
    all were left out.

    >>> mean_gradients(jax.grad(lambda p, x: p * x), 1.0, jnp.array([1.0, 3.0]))
    Array(2., dtype=float32)
    """
    params = jax.tree.map(jnp.asarray, params)
    zero = [jnp.zeros((), jnp.int32) for _ in range(4)]
    total = jax.tree.map(lambda p: jnp.zeros_like(p, dtype=working(p.dtype)), params)
    start = AccumulateState(zero[0], {}, zero[1], zero[2], zero[3], total, ())
    end, _ = jax.lax.scan(lambda state, batch: (gathered(gradient(params, batch), state), None), start, batches)
    n = jnp.maximum(end.taken, 1)

    def mean(a: jax.Array, p: jax.Array) -> jax.Array:
        return jnp.where(end.taken > 0, a / n.astype(real(a.dtype)), 0).astype(p.dtype)

    return jax.tree.map(mean, end.total, params)
