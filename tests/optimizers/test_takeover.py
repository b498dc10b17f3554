"""Moments of other states in compressed states and in groups."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt

PARAMS = {"b": jnp.ones(3), "w": jnp.cos(jnp.arange(600.0)).reshape(300, 2)}
GROUPS = opt.partition_by_path({"b": opt.adam(0.1), ".*": opt.adam(0.2)})
COMPRESSED = opt.compress(opt.adam(0.1))


def trained(tx: Any) -> Any:
    state = tx.init(PARAMS)
    for _ in range(3):
        _, state = tx.update(PARAMS, state, PARAMS)
    return state


SOURCES: dict[str, Any] = {
    "adam": opt.adam(0.1),
    "optax.adam": optax.adam(0.1),
    "optax.multi_transform": optax.multi_transform({0: optax.adam(0.1), 1: optax.adam(0.2)}, {"b": 0, "w": 1}),
    "compress": COMPRESSED,
}


@pytest.mark.parametrize("source", SOURCES)
def test_groups_take_their_part(source: str) -> None:
    state = opt.swap(GROUPS, trained(SOURCES[source]), PARAMS)
    assert [int(group.count) for group in state] == [3, 3]
    exact = trained(opt.adam(0.1)).moments["mu"]
    np.testing.assert_allclose(state[0].moments["mu"]["b"], exact["b"], rtol=1e-6)
    np.testing.assert_allclose(state[1].moments["mu"]["w"], exact["w"], rtol=0.3 if source == "compress" else 1e-6)


@pytest.mark.parametrize("source", ["optax.adam", "optax.multi_transform"])
def test_from_optax_into_groups(source: str) -> None:
    updates, _ = GROUPS.update(PARAMS, opt.from_optax(GROUPS, trained(SOURCES[source]), PARAMS), PARAMS)
    expected, _ = GROUPS.update(PARAMS, trained(GROUPS), PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updates, expected)


@pytest.mark.parametrize("source", ["adam", "optax.adam", "compress"])
def test_compressed_states_take_and_give(source: str) -> None:
    take = opt.from_optax if source == "optax.adam" else opt.swap
    state = take(COMPRESSED, trained(SOURCES[source]), PARAMS)
    assert int(state.inner.count) == 3
    assert jax.tree.structure(state) == jax.tree.structure(COMPRESSED.init(PARAMS))
    updates, _ = COMPRESSED.update(PARAMS, state, PARAMS)
    expected, _ = opt.adam(0.1).update(PARAMS, trained(opt.adam(0.1)), PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.3), updates, expected)
    back = opt.swap(opt.adam(0.1), state, PARAMS)
    assert int(back.count) == 3
    np.testing.assert_allclose(back.moments["mu"]["w"], trained(opt.adam(0.1)).moments["mu"]["w"], rtol=0.4)


def clipped(learning_rate: Any) -> Any:
    return optax.chain(optax.clip(1.0), optax.adam(learning_rate))


NESTS: dict[str, Any] = {
    "chain": lambda tx: opt.chain(opt.clip(1.0), tx),
    "guard": opt.guard,
    "compress": opt.compress,
    "partition_by_path": lambda tx: opt.partition_by_path({".*": tx}),
}


@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
def test_injected_settings_reach_rules_inside_wrappers(nest: Any) -> None:
    old = optax.chain(optax.inject_hyperparams(clipped)(0.5))
    state = opt.from_optax(nest(opt.adam(0.1)), old.init(PARAMS), PARAMS)
    rates = [float(x) for name, x in opt.settings(state).items() if name.endswith("learning_rate")]
    assert rates == [0.5]


def test_injected_settings_of_several_rules_are_refused() -> None:
    injected = optax.inject_hyperparams(optax.adam)(0.5).init(PARAMS)
    with pytest.raises(ValueError, match=r"'learning_rate' from inject_hyperparams 1 times, and 2 rules have"):
        opt.from_optax(GROUPS, injected, PARAMS)
    state = opt.from_optax(GROUPS, injected.inner_state, PARAMS)
    assert [round(float(group.settings["learning_rate"]), 3) for group in state] == [0.1, 0.2]
