"""Accumulated gradients: the mean of the micro-batches, faults, precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import close, every_inner, tree


@every_inner
def test_accumulate_equals_the_large_batch_and_is_not_poisoned(inner: Any) -> None:
    params, tx = tree(0), opt.accumulate(inner, 3)
    update, state = jax.jit(tx.update), tx.init(params)
    plain = inner.init(params)
    for turn in range(3):
        micro = [tree(10 * turn + k) for k in range(3)]
        if turn == 1:
            micro[1] = jax.tree.map(lambda g: g.at[..., 0].set(jnp.inf), micro[1])
        if turn == 2:
            micro[0] = jax.tree.map(lambda g: g * jnp.nan, micro[0])
        for k, grads in enumerate(micro):
            updates, state = update(grads, state, params)
            assert k == 2 or not any(np.any(u) for u in jax.tree.leaves(updates))
        good = [g for g in micro if np.isfinite(g["w"]).all()]
        mean = jax.tree.map(lambda *g: sum(g) / len(g), *good)
        expected, plain = inner.update(mean, plain, params)
        close(updates, expected, rtol=1e-4)
    assert int(state.skipped) == 2 and int(state.count) == 3


def test_accumulate_with_nothing_finite_emits_nothing() -> None:
    tx = opt.accumulate(opt.sgd(0.1), 2)
    state = tx.init(jnp.ones(2))
    for _ in range(2):
        updates, state = tx.update(jnp.full(2, jnp.nan), state)
    assert not np.any(updates) and int(state.count) == 0 and int(state.skipped) == 2
    for _ in range(2):
        updates, state = tx.update(jnp.ones(2), state)
    np.testing.assert_allclose(updates, -0.1, rtol=1e-6)


def test_accumulate_in_half_precision_sums_in_float32() -> None:
    tx = opt.accumulate(opt.sgd(1.0), 1000)
    state = tx.init(jnp.zeros(1, jnp.bfloat16))
    step = jax.jit(lambda state: tx.update(jnp.ones(1, jnp.bfloat16), state))
    for _ in range(1000):
        updates, state = step(state)
    assert updates.dtype == jnp.bfloat16 and float(updates[0]) == -1


def test_mean_gradients() -> None:
    def gradient(params: Any, batch: Any) -> Any:
        return jax.grad(lambda p: jnp.sum(p * batch))(params)

    batches = jnp.arange(12.0).reshape(4, 3).at[1, 0].set(jnp.inf)
    mean = jax.jit(lambda p: opt.mean_gradients(gradient, p, batches))(jnp.ones(3))
    np.testing.assert_allclose(mean, np.delete(np.asarray(batches), 1, 0).mean(0), rtol=1e-6)
    none = opt.mean_gradients(gradient, jnp.ones(3), batches * jnp.nan)
    np.testing.assert_array_equal(none, 0)
