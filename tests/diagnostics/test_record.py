"""What a compiled program records of a network is what `diagnose` finds in it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite.diagnostics import Record, diagnose, record
from jaxopt_lite.diagnostics._record import FIELDS
from tests.diagnostics.test_diagnose import CASES, X, Y, mlp


def cross_entropy(outputs: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, Y).mean()


def recorded(model: Any, x: Any) -> Record:
    """The record, from a compiled program."""
    labels = []

    @jax.jit
    def numbers(x: Any) -> Any:
        found = record(model, x, cross_entropy)
        labels.append(found.labels)
        return found.numbers

    return Record(numbers=numbers(x), labels=labels[-1])


@pytest.mark.parametrize("name", ["healthy", "dead", "collapsed", "not finite"])
def test_a_record_is_judged_as_diagnose_judges(name: str) -> None:
    build, x, truth = CASES[name]
    model = build()
    found, expected = recorded(model, x).diagnosis(), diagnose(model, x, Y)
    assert (found.verdict, found.layer) == (truth, expected.layer)
    for one, other in zip(found.layers, expected.layers, strict=True):
        assert (one.name, one.type, one.shape, one.troubles) == (other.name, other.type, other.shape, other.troubles)
        for field in FIELDS:
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=2e-4, atol=1e-6, err_msg=field)
    assert found.remedies == expected.remedies
    np.testing.assert_allclose([found.loss, *found.inputs], [expected.loss, *expected.inputs], rtol=1e-5)


def test_the_norm_is_that_of_the_gradient_of_all_parameters() -> None:
    """NNX and Linen, against `jax.grad` and optax."""
    model = mlp(3)
    graphdef, params = nnx.split(model)
    grads = jax.grad(lambda p: cross_entropy(nnx.merge(graphdef, p)(X)))(params)
    expected = optax.tree_utils.tree_norm(jax.tree.leaves(grads))
    np.testing.assert_allclose(recorded(model, X).diagnosis().gradient_norm, expected, rtol=1e-5)
    np.testing.assert_allclose(diagnose(model, X, Y).gradient_norm, expected, rtol=1e-5)

    module = nn.Sequential([nn.Dense(8), nn.tanh, nn.BatchNorm(use_running_average=False), nn.Dense(4)])
    variables = module.init(jax.random.key(0), X)
    rest = {name: value for name, value in variables.items() if name != "params"}

    def loss(params: Any) -> Any:
        return cross_entropy(module.apply({"params": params, **rest}, X, mutable=list(rest))[0])

    expected = optax.tree_utils.tree_norm(jax.grad(loss)(variables["params"]))
    np.testing.assert_allclose(recorded((module, variables), X).diagnosis().gradient_norm, expected, rtol=1e-5)


def test_records_under_vmap_are_those_of_the_single_networks() -> None:
    graphdef, params = nnx.split(mlp(2, act.tanh))
    scales = jnp.array([1.0, 30.0])
    scaled = [jax.tree.map(lambda a, scale=scale: a * scale, params) for scale in scales]
    observed = jax.jit(jax.vmap(lambda p: record(nnx.merge(graphdef, p), X, cross_entropy).numbers))
    together = observed(jax.tree.map(lambda *a: jnp.stack(a), *scaled))
    for numbers, one in zip(together, scaled, strict=True):
        single = recorded(nnx.merge(graphdef, one), X)
        np.testing.assert_allclose(numbers, single.numbers, rtol=1e-3, atol=1e-5)
        assert Record(single.labels, numbers).diagnosis().verdict == single.diagnosis().verdict


def test_a_model_without_layers() -> None:
    class Empty(nnx.Module):
        def __call__(self, x: Any) -> Any:
            return x

    with pytest.raises(ValueError, match="no layer of the model is called"):
        record(Empty(), X, jnp.sum)
