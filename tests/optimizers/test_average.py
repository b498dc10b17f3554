"""Averages of the parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import tree


@pytest.mark.parametrize("decay", [None, 0.9])
def test_average(decay: Any) -> None:
    params, tx = tree(0), opt.average(opt.sgd(0.1), decay)
    state, seen = tx.init(params), []
    for k in range(10):
        updates, state = tx.update(tree(k), state, params)
        params = optax.apply_updates(params, updates)
        seen.append(np.asarray(params["w"]))
    weights = np.ones(10) if decay is None else decay ** np.arange(9, -1, -1.0)
    expected = np.average(seen, axis=0, weights=weights)
    np.testing.assert_allclose(opt.averaged(state, params)["w"], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="a state without an average"):
        opt.averaged((), params)
    with pytest.raises(ValueError, match="average averages the parameters and was given none"):
        tx.update(params, state)


def test_average_begins_later() -> None:
    params, tx = jnp.zeros(1), opt.average(opt.sgd(1.0), begin=3)
    state = tx.init(params)
    for _ in range(5):
        updates, state = tx.update(-jnp.ones(1), state, params)
        params = params + updates
    np.testing.assert_allclose(opt.averaged(state, params), 4.5)


def test_averages_of_groups_are_put_together() -> None:
    params = {"bias": jnp.zeros(1), "kernel": jnp.zeros(2), "norm": jnp.zeros(3), "none": None}
    average = opt.average(opt.sgd(1.0))
    tx = opt.partition_by_path({"bias": average, "norm": opt.sgd(1.0), ".*": opt.guard(average)})
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jax.tree.map(lambda p: -jnp.ones_like(p), params), state, params)
        params = optax.apply_updates(params, updates)
    means = opt.averaged(state, params)
    assert float(means["bias"][0]) == float(means["kernel"][1]) == 2 and float(means["norm"][0]) == 3
    assert means["none"] is None
    with pytest.raises(ValueError, match="the state averages 'bias', which the parameters lack"):
        opt.averaged(state, {"kernel": jnp.ones(2)})


def test_an_average_inside_compress_is_decoded() -> None:
    params, tx = jnp.linspace(1.0, 2.0, 512), opt.compress(opt.average(opt.adam(0.1)))
    mean = opt.averaged({"optimizer": tx.init(params)}, params)
    np.testing.assert_allclose(mean, params, rtol=0.13)
    assert mean.dtype == params.dtype
