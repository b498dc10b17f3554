"""Equinox's training loop with every optimizer and wrapper: models with integers, functions and `None` as leaves."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)


class Model(eqx.Module):
    first: eqx.nn.Linear
    second: eqx.nn.Linear  # its bias is None
    seen: jax.Array
    repeats: int
    activation: Callable[[jax.Array], jax.Array]

    def __init__(self) -> None:
        keys = jax.random.split(jax.random.key(0))
        self.first, self.second = eqx.nn.Linear(4, 16, key=keys[0]), eqx.nn.Linear(16, 4, use_bias=False, key=keys[1])
        self.seen, self.repeats, self.activation = jnp.arange(3), 2, jnp.tanh

    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.repeats):
            x = self.second(self.activation(self.first(x)))
        return x


def loss(model: Any, x: jax.Array) -> jax.Array:
    return jnp.mean((jax.vmap(model)(x) - jnp.sin(x)) ** 2)


RULES = {name: row.function(0.01) for name, row in opt.CATALOGUE.items()}
WRAPPED = {
    "chain": opt.chain(opt.clip(0.1), opt.clip_by_block_rms(1.0), opt.clip_by_global_norm(0.1), opt.adamw(0.01)),
    "chain with optax": opt.chain(optax.clip_by_global_norm(1.0), opt.adam(0.01)),
    "inside optax": optax.chain(optax.clip_by_global_norm(1.0), opt.adam(0.01)),
    "accumulate": opt.accumulate(opt.adamw(0.01), 2),
    "average": opt.average(opt.adamw(0.01), 0.9),
    "guard": opt.guard(opt.adamw(0.01), max_spike=10.0),
    "partition_by_path": opt.partition_by_path({".*bias": opt.sgd(0.01), ".*": opt.adamw(0.01)}),
    "compress": opt.compress(opt.adamw(0.01), min_size=16),
    "lift": opt.lift(optax.adamw)(0.01),
    "split_master": opt.split_master(opt.adamw(0.01)),
    "stochastic_rounding": opt.stochastic_rounding(opt.adamw(0.01)),
    "schedule": opt.adamw(opt.warmup_cosine_decay_schedule(0.0, 0.01, 2, 10)),
}


# Arrays of integers without gradients are the harder case, which every transform gets.
LOOPS = [(name, eqx.is_array) for name in (*RULES, *WRAPPED)]
LOOPS += [(name, eqx.is_inexact_array) for name in ("adamw", "chain", "inside optax")]


@pytest.mark.parametrize("name, given", LOOPS)
def test_the_equinox_loop_is_the_loop_over_the_floating_leaves(name: str, given: Callable[[Any], bool]) -> None:
    tx = {**RULES, **WRAPPED}[name]
    model, (plain, rest) = Model(), eqx.partition(Model(), eqx.is_inexact_array)
    leaves, treedef = jax.tree.flatten(plain)
    state, plain_state = tx.init(plain), tx.init(leaves)

    @eqx.filter_jit
    def step(model: Model, state: Any) -> tuple[Model, Any]:
        grads = eqx.filter_grad(loss)(model, X)
        updates, state = tx.update(grads, state, eqx.filter(model, given))
        return eqx.apply_updates(model, updates), state

    @jax.jit
    def plain_step(leaves: list[jax.Array], state: Any) -> tuple[Any, Any]:
        grads = jax.grad(lambda p: loss(eqx.combine(jax.tree.unflatten(treedef, p), rest), X))(leaves)
        updates, state = tx.update(grads, state, leaves)
        return optax.apply_updates(leaves, updates), state

    before = loss(model, X)
    for _ in range(4):
        model, state = step(model, state)
        if name != "partition_by_path":  # the names of a list's leaves choose another group
            leaves, plain_state = plain_step(leaves, plain_state)
    assert loss(model, X) < before
    np.testing.assert_array_equal(model.seen, jnp.arange(3))
    assert model.repeats == 2 and model.activation is jnp.tanh
    if name != "partition_by_path":
        for ours, expected in zip(jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)), leaves, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*RULES, *WRAPPED])
def test_python_numbers_without_gradients_are_left_alone(name: str) -> None:
    tx = {**RULES, **WRAPPED}[name]
    params, grads = {"w": jnp.ones(16), "n": 3}, {"w": jnp.ones(16), "n": None}
    state = tx.init(eqx.filter(params, eqx.is_inexact_array))
    for _ in range(2):
        updates, state = tx.update(grads, state, params)
        params = eqx.apply_updates(params, updates)
    assert params["n"] == 3
    assert np.all(params["w"] < 1)


class Bent(eqx.Module):
    """A model with a learned slope."""

    linear: eqx.nn.Linear
    activation: Any

    def __init__(self, slope: Any) -> None:
        self.linear = eqx.nn.Linear(4, 4, key=jax.random.key(0))
        self.activation = act.bind(act.leaky_relu, negative_slope=slope)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.activation(self.linear(x))


def test_a_bound_activation_is_filtered_by_its_leaves() -> None:
    model = Bent(0.1)
    arrays, rest = eqx.partition(model, eqx.is_array)
    assert arrays.activation.settings == {"negative_slope": None}
    assert rest.activation == model.activation == eqx.combine(arrays, rest).activation
    gradient = eqx.filter_jit(eqx.filter_grad(loss))(model, X)  # a Python float is no array: it has no gradient
    assert gradient.activation.settings == {"negative_slope": None} and gradient.linear.weight.shape == (4, 4)


@pytest.mark.parametrize("masked", ["weight decay", "optax.masked"])
def test_a_bound_activation_is_trained_and_masked(masked: str) -> None:
    def mask(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.ndim(leaf) > 0, tree)

    tx = opt.adamw(0.1, weight_decay=0.1, mask=mask) if masked == "weight decay" else optax.masked(opt.adam(0.1), mask)
    model = Bent(jnp.asarray(0.1))
    state = tx.init(eqx.filter(model, eqx.is_array))
    gradient = eqx.filter_jit(eqx.filter_grad(loss))(model, X)
    updates, state = tx.update(gradient, state, eqx.filter(model, eqx.is_array))
    trained = eqx.apply_updates(model, updates)
    assert float(trained.activation.settings["negative_slope"]) != 0.1
    assert loss(trained, X).shape == ()
    both = jax.tree.map(lambda leaf, flag: leaf if flag else None, model.activation, mask(model.activation))
    assert both.settings == {"negative_slope": None}


@pytest.mark.parametrize("name", [*RULES, *WRAPPED])
def test_a_transform_keeps_its_leaves_under_filters_and_masks(name: str) -> None:
    tx = {**RULES, **WRAPPED}[name]
    arrays, rest = eqx.partition(tx, eqx.is_array)
    assert eqx.combine(arrays, rest) == tx
    mask = jax.tree.map(lambda _: True, tx)
    assert jax.tree.map(lambda _, leaf: leaf, mask, tx) == tx
