"""Groups of parameters by path, and clipping across groups."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import close, tree


def test_partition_by_path() -> None:
    params = {"dense": tree(0), "norm": tree(1)}
    tx = opt.partition_by_path({"norm": opt.sgd(1.0), "/b$": optax.sgd(0.5), ".*": opt.adamw(0.1, mask=None)})
    updates, state = jax.jit(tx.update)(params, tx.init(params), params)
    np.testing.assert_allclose(updates["norm"]["w"], -params["norm"]["w"], rtol=1e-6)
    np.testing.assert_allclose(updates["dense"]["b"], -0.5 * params["dense"]["b"], rtol=1e-6)
    alone = opt.adamw(0.1)
    expected, _ = alone.update(params["dense"]["w"], alone.init(params["dense"]["w"]), params["dense"]["w"])
    np.testing.assert_allclose(updates["dense"]["w"], expected, rtol=1e-6)
    assert {"0.learning_rate", "2.learning_rate"} <= set(opt.settings(state))
    with pytest.raises(
        ValueError, match=r"no pattern of \['norm'\] matches 'dense/b', 'dense/w': add one for the rest"
    ):
        opt.partition_by_path({"norm": opt.sgd(1.0)}).init(params)
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression"):
        opt.partition_by_path({"(": opt.sgd(1.0)})


def test_clip_inside_groups_is_global() -> None:
    grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    group = opt.chain(opt.clip_by_global_norm(1.0), opt.sgd(1.0))
    tx = opt.partition_by_path({"a": group, "b": group})
    updates, _ = tx.update(grads, tx.init(grads))
    close(updates, {"a": jnp.array([-0.6]), "b": jnp.array([-0.8])})


NEST = {
    "chain": lambda tx: opt.chain(tx, opt.clip(100.0)),
    "guard": lambda tx: opt.guard(tx, max_spike=1e9),
    "average": opt.average,
    "compress": lambda tx: opt.compress(tx, 1),
    "stochastic_rounding": opt.stochastic_rounding,
    "split_master": opt.split_master,
    "partition_by_path": lambda tx: opt.partition_by_path({".*": tx}),
}


@pytest.mark.parametrize("nest", NEST.values(), ids=NEST.keys())
def test_clip_behind_a_wrapper_in_a_group_is_global(nest: Any) -> None:
    grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    group = nest(opt.chain(opt.clip_by_global_norm(1.0), opt.sgd(1.0)))
    tx = opt.partition_by_path({"a": group, "b": group})
    close(tx.update(grads, tx.init(grads), grads)[0], {"a": jnp.array([-0.6]), "b": jnp.array([-0.8])})


def test_guard_in_a_group_clips_the_unscaled_norm() -> None:
    group = opt.guard(opt.chain(opt.clip_by_global_norm(10.0), opt.sgd(1.0)), loss_scale=1024.0)
    tx = opt.partition_by_path({"a": group, "b": group})
    grads = {"a": jnp.array([3.0]), "b": jnp.array([40.0])}
    scaled = jax.tree.map(lambda g: 1024 * g, grads)
    expected = optax.clip_by_global_norm(10.0).update(grads, optax.EmptyState())[0]
    close(tx.update(scaled, tx.init(grads))[0], jax.tree.map(jnp.negative, expected))


@pytest.mark.parametrize("last", [5.0, jnp.inf])
def test_accumulate_in_a_group_clips_the_mean(last: float) -> None:
    group = opt.accumulate(opt.chain(opt.clip_by_global_norm(1.0), opt.sgd(1.0)), 2)
    tx = opt.partition_by_path({".*": group})
    state = tx.init({"w": jnp.zeros(2)})
    for value in (500.0, last):
        updates, state = tx.update({"w": jnp.array([value, 0.0])}, state)
    close(updates, {"w": jnp.array([-1.0, 0.0])})


def test_clip_second_in_a_chain_of_a_group_uses_what_it_is_given() -> None:
    tx = opt.partition_by_path({".*": opt.chain(opt.sgd(0.001), opt.clip_by_global_norm(1.0))})
    grads = {"w": jnp.array([500.0, 0.0])}
    close(tx.update(grads, tx.init(grads))[0], {"w": jnp.array([-0.5, 0.0])})


def strict(keywords: tuple[str, ...]) -> Any:
    """An optax transformation that accepts these keywords alone."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        assert tuple(extra) == keywords
        return updates, state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


@pytest.mark.parametrize("nest", NEST.values(), ids=NEST.keys())
def test_optax_gets_no_unknown_keyword_in_a_group(nest: Any) -> None:
    grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0]), "c": jnp.array([12.0])}
    plain, clip = strict(("value",)), opt.clip_by_global_norm(1.0)
    tx = opt.partition_by_path({"a": nest(plain), "b": nest(opt.chain(clip, plain)), "c": nest(opt.chain(plain, clip))})
    updates, _ = tx.update(grads, tx.init(grads), grads, value=1.0)
    close(updates, {"a": jnp.array([3.0]), "b": jnp.array([4 / 13]), "c": jnp.array([1.0])})


def test_equal_paths_are_two_parameters() -> None:
    params = {"a/b": jnp.ones(1), "a": {"b": 2 * jnp.ones(2)}, "a/b#2": 3 * jnp.ones(3)}
    tx = opt.partition_by_path({"a/b": opt.sgd(1.0)})
    updates, _ = tx.update(params, tx.init(params), params)
    close(updates, jax.tree.map(jnp.negative, params))


class Head(NamedTuple):
    value: Any
    policy: Any


def test_a_field_called_value_has_a_name_and_a_variable_of_flax_does_not() -> None:
    params = {"head": Head(jnp.ones(1), jnp.ones(1)), "layer": nnx.state(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))}
    params |= {"box": nn.Partitioned(jnp.ones(1), names=("model",))}
    groups = {"value$": opt.sgd(1.0), "policy$|kernel$|bias$|box$": opt.sgd(2.0)}
    updates, _ = opt.partition_by_path(groups).update(params, opt.partition_by_path(groups).init(params), params)
    assert float(updates["head"].value[0]) == -1 and float(updates["head"].policy[0]) == -2
    assert float(updates["box"].value[0]) == -2


@pytest.mark.parametrize("make", [opt.adam, optax.adam], ids=["jaxopt_lite", "optax"])
def test_none_for_a_subtree(make: Any) -> None:
    params = {"a": {"x": jnp.ones(2), "y": jnp.ones(1)}, "b": jnp.ones(3)}
    grads = {"a": None, "b": jnp.ones(3)}
    tx = opt.partition_by_path({"a/x": opt.sgd(0.1), "a/": opt.adam(0.1), "b": make(0.1)})
    state = tx.init(params)
    updates, after = tx.update(grads, state, params)
    assert updates["a"] is None
    np.testing.assert_allclose(updates["b"], -0.1, rtol=1e-5)
    assert jax.tree.structure(after) == jax.tree.structure(state)
