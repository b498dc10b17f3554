"""A module as two pure functions of arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from flax.core import FrozenDict

from jaxopt_lite import activations
from jaxopt_lite.flax import MLP
from jaxopt_lite.flax._functional import initialise, outputs

X = jnp.ones((2, 3))


def test_a_linen_module_without_parameters() -> None:
    def build(trial, rngs):
        return nn.Sequential([nn.relu])

    weights = initialise(build, None, X, jax.random.key(0))
    assert weights == ({}, {})
    for train in (False, True):
        y, state = outputs(build, None, weights, X, jax.random.key(1), train=train)
        assert y.shape == X.shape and state == {}


class Features(nnx.Module):
    """Random features: an array of the module that is no variable."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        frequencies = jax.random.normal(rngs.params(), (3, 4))
        self.frequencies = nnx.data(frequencies) if hasattr(nnx, "data") else frequencies

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.sin(x @ self.frequencies)


MODULES = {
    "an MLP": lambda slope, rngs: MLP((3, 4, 2), slope, rngs=rngs),
    "a sequence": lambda slope, rngs: nnx.Sequential(
        nnx.Linear(3, 4, rngs=rngs), slope, nnx.BatchNorm(4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)
    ),
    "one function twice": lambda slope, rngs: nnx.Sequential(
        nnx.Linear(3, 4, rngs=rngs), slope, nnx.Linear(4, 4, rngs=rngs), slope, nnx.Linear(4, 2, rngs=rngs)
    ),
    "random features": lambda slope, rngs: nnx.Sequential(Features(rngs), slope, nnx.Linear(4, 2, rngs=rngs)),
}


@pytest.mark.parametrize("build", MODULES.values(), ids=MODULES)
def test_a_bound_number_in_a_module_comes_from_the_trial(build) -> None:
    """Its value is that of the trial in each call, also as a tracer, and it is no part of the weights."""
    x = jax.random.normal(jax.random.key(3), (6, 3))

    def bound(slope):
        return activations.bind(activations.leaky_relu, negative_slope=slope)

    def called(slope, key):
        weights = initialise(lambda trial, rngs: build(bound(trial), rngs), 0.5, x, jax.random.key(0))
        return outputs(lambda trial, rngs: build(bound(trial), rngs), slope, weights, x, key, train=True)[0]

    expected = [called(np.float32(slope), jax.random.key(1)) for slope in (0.1, 0.5)]
    assert not np.allclose(*expected)
    for slope, y in zip((0.1, 0.5), expected, strict=True):
        np.testing.assert_allclose(jax.jit(called)(slope, jax.random.key(2)), y, rtol=2e-6, atol=1e-6)
    gradient = jax.grad(lambda slope: called(slope, jax.random.key(1)).sum())(0.1)
    assert np.isfinite(gradient)


@jax.tree_util.register_pytree_node_class
class Numbered:
    """A pytree whose entries have numbers, by which they cannot be got."""

    def __init__(self, entry) -> None:
        self.entry = entry

    def tree_flatten(self):
        return (self.entry,), None

    @classmethod
    def tree_unflatten(cls, _, entries):
        return cls(*entries)


@pytest.mark.parametrize("container", [Numbered, FrozenDict, dict, nnx.State])
def test_arrays_inside_pytrees_of_a_module_are_its_state(container) -> None:
    class Holder(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.linear = nnx.Linear(3, 2, rngs=rngs)
            held = container({"inner": {"scale": jnp.full(2, 3.0)}})
            self.held = nnx.data(held) if hasattr(nnx, "data") else held

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.linear(x)

    weights = initialise(lambda trial, rngs: Holder(rngs), None, X, jax.random.key(0))
    (scale,) = jax.tree.leaves(weights.state)
    np.testing.assert_array_equal(scale, [3.0, 3.0])


def test_variables_of_a_callable_pytree_are_state_and_random_keys_are_not() -> None:
    class Block(nnx.Pytree if hasattr(nnx, "Pytree") else nnx.Object):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.norm = nnx.BatchNorm(3, rngs=rngs)
            slope = activations.bind(activations.leaky_relu, negative_slope=jnp.asarray(0.5))
            self.slope = nnx.data(slope) if hasattr(nnx, "data") else slope

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.slope(self.norm(x))

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.block = Block(rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dropout(self.block(x))

    def build(trial, rngs):
        return Net(rngs)

    x = jnp.asarray([[0.0, 1.0, 2.0], [2.0, 3.0, 8.0]])
    weights = initialise(build, None, x, jax.random.key(0))
    assert sorted(path[-1] for path in nnx.to_flat_state(weights.state).paths) == ["mean", "var"]
    y, state = outputs(build, None, weights, x, jax.random.key(1), train=True)
    norm = jax.tree.map(np.asarray, nnx.to_pure_dict(state)["block"]["norm"])
    np.testing.assert_allclose(norm["mean"], 0.01 * x.mean(0), rtol=1e-4)
    others = [outputs(build, None, weights, x, jax.random.key(k), train=True)[0] for k in range(1, 6)]
    assert any(not np.array_equal(y, other) for other in others)  # dropout follows the key
    again = outputs(build, None, weights._replace(state=state), x, jax.random.key(1), train=False)[0]
    moved = (np.asarray(x) - norm["mean"]) / np.sqrt(norm["var"] + 1e-5)
    np.testing.assert_allclose(again, np.where(moved < 0, 0.5 * moved, moved), rtol=1e-4)
