"""Layers for NNX and Linen: parameters, gradients, and the same numbers as the plain layers they replace."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import flax as layers
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.flax import linen

LEARNED = {
    "PReLU": "prelu",
    "Swish": "swish",
    "Snake": "snake",
    "AconC": "acon_c",
    "SReLU": "srelu",
    "PELU": "pelu",
    "Rational": "rational",
}
X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)), jnp.float32)


def test_every_learnable_row_has_its_layers() -> None:
    assert set(LEARNED.values()) == {name for name, row in CATALOGUE.items() if row.initial}


@pytest.mark.parametrize("features", [None, 6])
@pytest.mark.parametrize(("layer", "name"), LEARNED.items())
def test_nnx_layers_start_at_the_catalogue_and_learn(layer: str, name: str, features: int | None) -> None:
    row, module = CATALOGUE[name], getattr(layers, layer)(features)
    np.testing.assert_allclose(module(X), row.function(X), rtol=1e-6)
    gradient = nnx.grad(lambda m: jnp.sum(m(X) ** 2))(module)
    for setting, start in row.initial.items():
        found = getattr(gradient, setting)[...] if hasattr(gradient, setting) else gradient[setting][...]
        assert found.shape == (*np.shape(start), *([features] if features else []))
        assert np.isfinite(found).all()
    assert any(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(gradient))
    assert module(X.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    jitted = nnx.jit(lambda m, x: m(x))(module, X)
    np.testing.assert_allclose(jitted, module(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("features", [None, 6])
@pytest.mark.parametrize(("layer", "name"), LEARNED.items())
def test_linen_layers_start_at_the_catalogue_and_learn(layer: str, name: str, features: int | None) -> None:
    row, module = CATALOGUE[name], getattr(linen, layer)(features)
    variables = module.init(jax.random.key(0), X)
    assert set(variables["params"]) == set(row.initial)
    np.testing.assert_allclose(module.apply(variables, X), row.function(X), rtol=1e-6)
    gradient = jax.grad(lambda v: jnp.sum(module.apply(v, X) ** 2))(variables)
    assert any(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(gradient))


def test_other_starting_numbers_and_a_wrong_name() -> None:
    assert float(layers.PReLU(negative_slope=0.1).negative_slope[...]) == pytest.approx(0.1)
    assert linen.PReLU(start={"negative_slope": 0.1}).init(jax.random.key(0), X)["params"]["negative_slope"] == 0.1
    with pytest.raises(TypeError, match=r"unexpected keyword argument .slope."):
        layers.PReLU(slope=0.1)


@pytest.mark.parametrize("fn", [act.gelu, act.bind(act.leaky_relu, negative_slope=0.2), layers.PReLU()])
def test_act_dense_is_a_linear_after_an_activation(fn) -> None:
    plain = nnx.Linear(6, 4, rngs=nnx.Rngs(0))
    lean = layers.ActDense(6, 4, fn, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(lean(X), plain(fn(X)), rtol=1e-5, atol=1e-6)
    gradients = [
        nnx.grad(lambda m, take=take: jnp.sum(take(m) ** 2))(m)
        for m, take in ((plain, lambda m: m(fn(X))), (lean, lambda m: m(X)))
    ]
    np.testing.assert_allclose(gradients[0]["kernel"][...], gradients[1]["kernel"][...], rtol=1e-5, atol=1e-6)
    half = layers.ActDense(6, 4, fn, dtype=jnp.bfloat16, use_bias=False, rngs=nnx.Rngs(0))
    assert half(X).dtype == jnp.bfloat16


def test_gated_dense_is_a_linear_after_a_gate() -> None:
    up = X[::-1]
    plain, lean = nnx.Linear(6, 4, rngs=nnx.Rngs(0)), layers.GatedDense(6, 4, act.silu, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(lean(X, up), plain(act.silu(X) * up), rtol=1e-5, atol=1e-6)
    dense, gated = nn.Dense(4), linen.GatedDense(4, act.silu)
    variables = dense.init(jax.random.key(1), X)
    np.testing.assert_allclose(
        gated.apply(variables, X, up), dense.apply(variables, act.silu(X) * up), rtol=1e-5, atol=1e-6
    )
    lean_linen = linen.ActDense(4, act.gelu)
    np.testing.assert_allclose(
        lean_linen.apply(variables, X), dense.apply(variables, act.gelu(X)), rtol=1e-5, atol=1e-6
    )
    same = jax.tree.map(np.shape, gated.init(jax.random.key(1), X, up))
    assert same == jax.tree.map(np.shape, variables)


def test_layers_train_inside_a_model() -> None:
    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first = nnx.Linear(6, 16, rngs=rngs)
            self.second = layers.ActDense(16, 1, layers.PReLU(16), rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.second(self.first(x))

    model = Model(nnx.Rngs(0))
    target = jnp.sin(X.sum(1, keepdims=True))

    @nnx.jit
    def step(model: Model) -> jax.Array:
        loss, gradient = nnx.value_and_grad(lambda m: jnp.mean((m(X) - target) ** 2))(model)
        nnx.update(model, jax.tree.map(lambda p, g: p - 0.1 * g, nnx.state(model), gradient))
        return loss

    losses = [float(step(model)) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    assert float(jnp.abs(model.second.fn.negative_slope[...] - 0.25).max()) > 0


@pytest.mark.parametrize("layer", [*LEARNED, "ActDense", "GatedDense", "MLP", "Embedding", "Optimizer"])
def test_signatures_name_the_arguments(layer: str) -> None:
    cls = getattr(layers, layer)
    assert list(inspect.signature(cls).parameters) == list(inspect.signature(cls.__init__).parameters)[1:]
    for parameter in inspect.signature(cls).parameters:
        assert parameter in cls.__doc__


@pytest.mark.parametrize("layer", LEARNED)
def test_wrong_numbers_of_features(layer: str) -> None:
    for module in (getattr(layers, layer), lambda features: getattr(linen, layer)(features).init(jax.random.key(0), X)):
        with pytest.raises(ValueError, match=r"features=-1; give the number of channels"):
            module(-1)
        with pytest.raises(TypeError, match=r"features=0.25 is not an integer"):
            module(0.25)


def test_starting_values_of_each_channel() -> None:
    start = jnp.linspace(0.0, 0.5, 6)
    np.testing.assert_array_equal(layers.PReLU(6, negative_slope=start).negative_slope[...], start)
    with pytest.raises(ValueError, match=r"negative_slope has shape \(5,\); with features=6 give shape \(\)"):
        layers.PReLU(6, negative_slope=jnp.zeros(5))


def test_a_linen_module_cannot_call_an_nnx_layer() -> None:
    class Net(nn.Module):
        fn: Any

        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return self.fn(nn.Dense(3)(x))

    with pytest.raises(TypeError, match=r"PReLU is an NNX layer, and the Linen module Net called it.*linen.PReLU"):
        Net(layers.PReLU()).init(jax.random.key(0), X)
    wrapped = Net(nnx.bridge.ToLinen(layers.PReLU, skip_rng=True))
    assert "fn" in wrapped.init(jax.random.key(0), X)["params"]


@pytest.mark.parametrize(("layer", "name"), LEARNED.items())
def test_starting_values_without_channels_have_the_shape_of_the_row(layer: str, name: str) -> None:
    for setting, start in CATALOGUE[name].initial.items():
        bad = jnp.ones((*np.shape(start), 3))
        with pytest.raises(ValueError, match=rf"{name}: {setting} has shape .*3.*; with features=None give shape"):
            getattr(layers, layer)(**{setting: bad})
        with pytest.raises(ValueError, match=rf"{name}: {setting} has shape .*3.*; with features=None give shape"):
            getattr(linen, layer)(start={setting: bad}).init(jax.random.key(0), X)


@pytest.mark.parametrize(("layer", "setting"), [("Snake", "alpha"), ("PELU", "alpha"), ("PELU", "beta")])
@pytest.mark.parametrize("bad", [0.0, -1, np.nan, [1.0, 0.0], jnp.asarray([-1.0, 1.0])])
def test_starting_values_are_positive_where_the_formula_needs_it(layer: str, setting: str, bad: Any) -> None:
    features = None if np.ndim(bad) == 0 else 2
    with pytest.raises(ValueError, match=rf"{setting}=.*needs positive numbers; give {setting} > 0"):
        getattr(layers, layer)(features, **{setting: bad})
    with pytest.raises(ValueError, match=rf"{setting}=.*needs positive numbers; give {setting} > 0"):
        getattr(linen, layer)(features, start={setting: bad}).init(jax.random.key(0), X[:, :2])


def test_starting_values_may_be_traced() -> None:
    y = jax.vmap(lambda alpha: layers.Snake(alpha=alpha)(1.0))(jnp.asarray([1.0, 2.0]))
    np.testing.assert_allclose(y, act.snake(jnp.ones(2), jnp.asarray([1.0, 2.0])), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda a: layers.Snake(2, alpha=[a, 1.0]).alpha[...])(2.0), [2.0, 1.0])
