"""Guard: skipped steps, spikes, the scale of the loss."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import close, every_inner, tree


@every_inner
def test_guard_skips_what_is_not_finite(inner: Any) -> None:
    params, tx = tree(0), opt.guard(inner)
    state = tx.init(params)
    _, state = tx.update(tree(1), state, params)
    bad = jax.tree.map(lambda g: g.at[..., -1].set(jnp.inf), tree(2))
    updates, after = jax.jit(tx.update)(bad, state, params)
    assert not any(np.any(u) for u in jax.tree.leaves(updates))
    close(jax.tree.leaves(after.inner), jax.tree.leaves(state.inner), rtol=0, atol=0)
    assert (int(after.count), int(after.skipped), int(after.nonfinite), int(after.in_a_row)) == (2, 1, 1, 0)
    expected, _ = tx.update(tree(3), state, params)
    updates, after = tx.update(tree(3), after, params)
    close(updates, expected)
    assert int(after.in_a_row) == 0


def test_guard_skips_spikes_but_not_for_ever_and_each_member_for_itself() -> None:
    tx = opt.guard(opt.sgd(1.0), max_spike=5.0, warmup=3, patience=4)
    state = jax.vmap(tx.init)(jnp.zeros((2, 1)))
    update = jax.jit(jax.vmap(tx.update))
    for _ in range(5):
        _, state = update(jnp.ones((2, 1)), state)
    for _ in range(4):
        updates, state = update(jnp.array([[100.0], [1.0]]), state)
        np.testing.assert_array_equal(updates[:, 0], [0, -1])
    assert state.spikes.tolist() == [4, 0] and state.in_a_row.tolist() == [4, 0]
    updates, state = update(jnp.array([[100.0], [1.0]]), state)
    np.testing.assert_array_equal(updates[:, 0], [-100, -1])
    assert state.nonfinite.tolist() == [0, 0]


def test_the_running_mean_starts_at_the_first_gradient_that_is_not_zero() -> None:
    tx = opt.guard(opt.sgd(1.0), max_spike=5.0, warmup=3)
    state, steps = tx.init(jnp.zeros(1)), []
    for value in [0.0] * 30 + [1.0] * 3 + [10.0]:
        updates, state = tx.update(jnp.full(1, value), state)
        steps.append(float(updates[0]))
    assert steps == [0] * 30 + [-1] * 3 + [0] and int(state.spikes) == 1


def test_guard_scales_the_loss() -> None:
    tx = opt.guard(opt.sgd(1.0), loss_scale=8.0, growth_interval=3)
    state = tx.init(jnp.ones(1))
    scales = []
    for k in range(6):
        scale = opt.loss_scale_of(state)
        scales.append(float(scale))
        grads = jnp.ones(1) * scale * (jnp.inf if k == 1 else 1)
        updates, state = tx.update(grads, state)
        assert float(updates[0]) == (0 if k == 1 else -1)
    assert scales == [8, 8, 4, 4, 4, 8]
    with pytest.raises(ValueError, match="a state without a guard"):
        opt.loss_scale_of(opt.sgd(0.1).init(jnp.ones(1)))


def test_patience_counts_spikes_and_not_nonfinite_steps() -> None:
    tx = opt.guard(opt.sgd(1.0), max_spike=5.0, warmup=2, patience=2)
    state = tx.init(jnp.zeros(1))
    applied = []
    for value in (1, 1, 1, jnp.nan, jnp.nan, 1000, jnp.nan, 1000, 1000):
        updates, state = tx.update(jnp.array([float(value)]), state)
        applied.append(bool(updates[0] != 0))
    assert applied == [True, True, True, False, False, False, False, False, True]
    assert (int(state.spikes), int(state.nonfinite), int(state.in_a_row)) == (2, 3, 0)
