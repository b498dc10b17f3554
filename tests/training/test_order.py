"""The order of the examples: every row once an epoch, alike alone and in a population."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite.training import _order as order


@pytest.mark.parametrize("examples", [1, 2, 7, 1077, 2048, 2049, 5000])
def test_a_permutation_has_every_row_once(examples):
    rows = order.permutation(jax.random.key(3), examples)
    assert rows.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(rows), np.arange(examples))


def test_all_orders_are_equally_likely():
    keys = jax.random.split(jax.random.key(0), 6000)
    found = np.asarray(jax.jit(jax.vmap(lambda k: order.permutation(k, 3)))(keys))
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert len(counts) == 6
    # 1,000 each expected; χ² with 5 degrees of freedom exceeds 25.7 in one of 10,000 fair draws
    assert ((counts - 1000) ** 2 / 1000).sum() < 25.7


def batches(key, examples, size, steps):
    def step(state, i):
        batch, state = order.next_batch(state, jax.random.fold_in(key, i), size)
        return state, batch

    return jax.lax.scan(step, order.unstarted(examples, size), jnp.arange(steps))[1]


@pytest.mark.parametrize("examples, size", [(20, 5), (23, 5), (6, 1), (6, 6)])
def test_an_epoch_visits_rows_at_most_once_and_the_next_is_another(examples, size):
    whole = examples // size
    found = np.asarray(batches(jax.random.key(1), examples, size, 3 * whole)).reshape(3, whole * size)
    for epoch in found:
        assert len(set(epoch.tolist())) == whole * size
    if size > 1:
        assert not np.array_equal(found[0], found[1])


def test_a_population_sees_what_each_member_sees_alone():
    keys = jax.random.split(jax.random.key(2), 4)
    together = jax.jit(jax.vmap(lambda key: batches(key, 23, 5, 9)))(keys)
    for key, own in zip(keys, together, strict=True):
        np.testing.assert_array_equal(own, batches(key, 23, 5, 9))


def test_members_of_one_seed_see_one_order():
    keys = jax.random.wrap_key_data(jnp.stack([jax.random.key_data(jax.random.key(5))] * 3))
    together = jax.jit(jax.vmap(lambda key: batches(key, 23, 5, 9)))(keys)
    for own in together:
        np.testing.assert_array_equal(own, batches(jax.random.key(5), 23, 5, 9))


def test_one_key_and_many_states_are_a_population_too():
    state = order.unstarted(10, 5)
    states = jax.tree.map(lambda x: jnp.stack([x, x]), state)
    rows, _ = jax.vmap(lambda s: order.next_batch(s, jax.random.key(0), 5))(states)
    np.testing.assert_array_equal(rows[0], rows[1])


def test_a_population_draws_once_an_epoch_and_not_at_every_step():
    keys = jax.random.split(jax.random.key(2), 4)
    text = jax.jit(jax.vmap(lambda key: batches(key, 3000, 5, 9))).lower(keys).as_text()
    inside = text[text.index("stablehlo.while") :]
    assert "stablehlo.case" in inside or "stablehlo.if" in inside
