"""Merged optimizers: each alternative is itself, whatever the others are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers
from jaxopt_lite.sweeps.programs._merge import Either

NAMES = list(optimizers.CATALOGUE)


@pytest.fixture(scope="module")
def everything():
    return [row.function(0.05) for row in optimizers.CATALOGUE.values()]


@pytest.fixture(scope="module")
def either(everything):
    """`init` and `update` of the alternative of an index: one program for all."""
    init = jax.jit(lambda index, params: Either(index, everything).init(params))
    return init, jax.jit(lambda index, *arguments: Either(index, everything).update(*arguments))


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_the_alternative_taken_is_the_optimizer_itself(everything, either, index):
    rng = np.random.default_rng(index)
    params = {"w": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32), "b": jnp.ones(2)}
    (init, update), plain = either, everything[index]

    state, own = init(jnp.int32(index), params), plain.init(params)
    shapes = [(x.shape, x.dtype) for x in state]
    for _ in range(3):
        grads = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)
        updates, state = update(jnp.int32(index), grads, state, params)
        expected, own = plain.update(grads, own, params)
        assert [(x.shape, x.dtype) for x in state] == shapes
        for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_the_state_has_room_for_the_largest_alternative_and_no_more():
    params = {"w": jnp.zeros((5, 5))}
    either = Either(jnp.int32(0), [optimizers.sgd(0.1), optimizers.adam(0.1), optimizers.sgd(0.1, momentum=0.9)])
    assert sum(x.shape == (5, 5) for x in either.init(params)) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: [optimizers.split_master(optimizers.sgd(0.1))],
        lambda: [optimizers.sgd(0.1), optimizers.stochastic_rounding(optimizers.sgd(0.1), seed=0)],
        lambda: [optimizers.sgd(0.1), optimizers.adam(0.1)],
    ],
    ids=["split_master", "stochastic_rounding", "plain"],
)
@pytest.mark.parametrize("dtypes", [("bfloat16",) * 2, ("float32", "bfloat16"), ("bfloat16", "float32")], ids=str)
def test_updates_have_the_widest_type_of_the_alternatives(make, dtypes):
    params = {"w": jnp.ones((2, 3), dtypes[0]), "none": None}
    grads = {"w": jnp.full((2, 3), 0.5, dtypes[1]), "none": None}
    alternatives = make()
    own = [tx.update(grads, tx.init(params), params)[0]["w"] for tx in alternatives]
    for index, expected in enumerate(own):
        either = Either(jnp.int32(index), alternatives)
        updates, _ = jax.jit(either.update)(grads, either.init(params), params)
        assert updates["w"].dtype == jnp.result_type(*own) and updates["none"] is None
        np.testing.assert_array_equal(updates["w"].astype("float32"), expected.astype("float32"))
