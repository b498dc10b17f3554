"""Large batches in small pieces: the optimizer runs on the mean of the gradients of several micro-batches."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.optimizers._arithmetic import next_count, real, working
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers._trees import check_params, map_gradients, map_state
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.wrappers._checks import required
from jaxopt_lite.optimizers.wrappers._shards import all_shards, varying_like_result


class AccumulateState(NamedTuple):
    """The sum of the gradients and the state of the inner transform.

    `count` steps of the inner transform, `micro` micro-steps since the last one, `finite` of them with finite
    gradients; `skipped` micro-steps without, since the start. `total` is the sum if `finite` > 0, else undefined.
    """

    count: Any
    settings: dict[str, Any]
    micro: Any
    finite: Any
    skipped: Any
    total: Any
    inner: Any


class Accumulate(NamedTuple):
    """The rule of `accumulate`."""

    name: str = "accumulate"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> AccumulateState:
        """No gradient summed."""
        check_params(self.name, params)
        zero = [jnp.zeros((), jnp.int32) for _ in range(4)]
        return AccumulateState(
            count=zero[0],
            settings=copied(self.name, data, fixed),
            micro=zero[1],
            finite=zero[2],
            skipped=zero[3],
            total=jax.tree.map(lambda p: jnp.zeros_like(p, dtype=working(p.dtype)), params),
            inner=parts["tx"].init(params),
        )

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, AccumulateState]:
        """Add the gradient; at the last micro-step run the optimizer on the mean, else give zero updates."""
        state = gathered(grads, state)
        if params is not None:
            params = map_gradients(lambda g, p: p, grads, params)
        steps = resolved(state.settings, fixed, state.count)["steps"]
        full = state.micro >= jnp.round(steps).astype(jnp.int32)
        emit = full & (state.finite > 0)

        def inner_step(value: Any, operands: Any) -> tuple[Any, Any]:
            total, inner = value
            finite, params, arrays = operands
            mean = map_gradients(lambda g, a: _divided(a, finite).astype(g.dtype), grads, total)
            return parts["tx"](mean, inner, params, **{**extra, **arrays})

        def optimize(value: Any, operands: Any) -> tuple[Any, Any]:
            updates, inner = inner_step(value, operands)
            return map_state(lambda u, a: u.astype(a.dtype), updates, value[0]), inner

        # The memory of the sum holds the updates too: no other tree of the size of the parameters is needed.
        arrays = {name: x for name, x in extra.items() if not callable(x)}
        value, operands = (state.total, state.inner), (jnp.maximum(state.finite, 1), params, arrays)
        shapes, _ = jax.eval_shape(inner_step, value, operands)
        total, inner = run_if(emit, optimize, value, operands)
        updates = map_gradients(lambda u, a: jnp.where(emit, a, jnp.zeros_like(a)).astype(u.dtype), shapes, total)
        return updates, state._replace(
            count=jnp.where(emit, next_count(state.count), state.count),
            micro=jnp.where(full, 0, state.micro),
            finite=jnp.where(full, 0, state.finite),
            total=total,
            inner=inner,
        )


def gathered(grads: Any, state: AccumulateState) -> AccumulateState:
    """One micro-step: the gradient is added to the sum, or skipped and counted if it is not finite."""
    # A sum is finite unless an entry is not (or it overflows): one addition an entry, where isfinite and all are two.
    finite = [jnp.isfinite(jnp.sum(g.astype(working(g.dtype)))) for g in jax.tree.leaves(grads)]
    ok = all_shards(functools.reduce(jnp.logical_and, finite, jnp.array(True)))
    first = state.finite == 0
    total = run_if(ok & first, _begun, state.total, grads)
    total = run_if(ok & ~first, _added, total, grads)
    one = ok.astype(jnp.int32)
    return state._replace(
        micro=state.micro + 1, finite=state.finite + one, skipped=next_count(state.skipped) - one, total=total
    )


def _divided(total: jax.Array, n: jax.Array) -> jax.Array:
    return total / n.astype(real(total.dtype)).astype(total.dtype)


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
    return map_state(lambda g, a: g.astype(a.dtype), grads, total)


def _added(total: Any, grads: Any) -> Any:
    return map_state(lambda g, a: a + g.astype(a.dtype), grads, total)


def accumulate(tx: optax.GradientTransformation, steps: Setting) -> Transform:
    """Run `tx` at every `steps`-th update only, on the mean of the gradients since: large batches in small pieces.

    In between, updates are zero and a step costs one addition an entry. Gradients are summed in float32 or wider.
    A gradient that is not finite is left out of the mean and counted in `state.skipped`; if all are, the updates are
    zero and `tx` does not run. Equal micro-batches give the step of the large batch, up to rounding. Under `vmap` `tx`
    runs in every step, as a condition is a selection there: use `mean_gradients` instead.

    Args:
        tx: a transform of this package or of optax.
        steps: the number of micro-batches per step of `tx`, 1 or more: a whole number, an array, a tracer, or a
            schedule that is given the number of steps `tx` has made.

    Returns:
        A transform with an `AccumulateState`, which has one sum of the parameters' shape beside the state of `tx`.

    Raises:
        TypeError: `tx` is not a transform, or `steps` is not a number.
        ValueError: `steps` is not whole or below 1.

    Example:
        >>> tx = accumulate(sgd(0.1), 2)
        >>> state = tx.init(jnp.zeros(1))
        >>> first, state = tx.update(jnp.array([1.0]), state)
        >>> second, state = tx.update(jnp.array([3.0]), state)
        >>> float(first[0]), round(float(second[0]), 3)
        (0.0, -0.2)
    """
    required("accumulate", steps=steps)
    return build(Accumulate(), {"steps": steps}, {}, {"tx": tx})


def mean_gradients(gradient: Callable[..., Any], params: Any, batches: Any) -> Any:
    """The mean of `gradient(params, batch)` over many batches, one after another in one compiled loop.

    It needs the memory of one micro-batch and a sum of the gradients. Unlike `accumulate` it wastes nothing under
    `vmap`. Gradients are summed in float32 or wider; those that are not finite are left out.

    Args:
        gradient: a function from parameters and a batch to a tree of gradients, as `jax.grad(loss)`.
        params: what `gradient` takes first.
        batches: a pytree of arrays whose leading axis counts the micro-batches.

    Returns:
        A tree with the structure and dtypes of the gradients; zeros if no gradient is finite.

    Raises:
        ValueError: the arrays of `batches` have different leading axes.

    Example:
        >>> mean_gradients(jax.grad(lambda p, x: p * x), 1.0, jnp.array([1.0, 3.0]))
        Array(2., dtype=float32)
    """
    zero = [jnp.zeros((), jnp.int32) for _ in range(4)]
    grads = jax.eval_shape(lambda batch: gradient(params, batch), jax.tree.map(lambda x: x[0], batches))
    total = jax.tree.map(lambda g: jnp.zeros(g.shape, working(g.dtype)), grads)
    start = AccumulateState(zero[0], {}, zero[1], zero[2], zero[3], total, ())
    end, _ = jax.lax.scan(lambda state, batch: (gathered(gradient(params, batch), state), None), start, batches)
    n = jnp.maximum(end.finite, 1)
    return jax.tree.map(lambda g, a: jnp.where(end.finite > 0, _divided(a, n), 0).astype(g.dtype), grads, end.total)
