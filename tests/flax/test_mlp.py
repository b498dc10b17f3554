"""The multi-layer perceptron of the built-in tasks: which activations it takes, and what it makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite.flax import MLP, PReLU

X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)), jnp.float32)


def swish(x: jax.Array) -> jax.Array:
    """A user's function with the name of a catalogue row, and no settings."""
    return x * jax.nn.sigmoid(2.0 * x)


def test_a_function_with_the_name_of_a_catalogue_row_is_the_users_own() -> None:
    model = MLP((6, 8, 3), swish, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(model(X), model.layers[1](swish(model.layers[0](X))), rtol=1e-6)
    assert len(jax.tree.leaves(nnx.state(model))) == 4


def test_learnable_settings_are_parameters_of_each_hidden_layer() -> None:
    gradient = nnx.grad(lambda m: jnp.sum(m(X) ** 2))(MLP((6, 8, 8, 3), act.swish, rngs=nnx.Rngs(0)))
    assert len(jax.tree.leaves(gradient["learned"])) == 2
    assert all(float(jnp.abs(g)) > 0 for g in jax.tree.leaves(gradient["learned"]))
    bound = MLP((6, 8, 8, 3), act.bind(act.swish, beta=2.0), rngs=nnx.Rngs(0))
    assert not jax.tree.leaves(nnx.state(bound.learned))


def test_an_activation_bound_to_arrays_or_tracers() -> None:
    bound = act.bind(act.leaky_relu, negative_slope=jnp.linspace(0.1, 0.8, 8))
    model = MLP((6, 8, 3), bound, rngs=nnx.Rngs(0))
    expected = model.layers[1](bound(model.layers[0](X)))
    np.testing.assert_allclose(nnx.jit(lambda m: m(X))(model), expected, rtol=1e-5, atol=1e-6)
    slopes = jnp.array([0.1, 0.9])

    def first_output(slope: jax.Array) -> jax.Array:
        return MLP((6, 8, 3), act.bind(act.leaky_relu, negative_slope=slope), rngs=nnx.Rngs(0))(X)[0, 0]

    np.testing.assert_allclose(jax.vmap(first_output)(slopes), [first_output(s) for s in slopes], rtol=1e-5)
    assert np.all(jax.vmap(jax.grad(first_output))(slopes) != 0)


def test_a_module_as_activation_is_shared_by_the_layers() -> None:
    gradient = nnx.grad(lambda m: jnp.sum(m(X) ** 2))(MLP((6, 8, 8, 3), PReLU(), rngs=nnx.Rngs(0)))
    assert len(jax.tree.leaves(gradient["activation"])) == 1


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match=r"MLP: the activation 'relu' is not callable; .*activations.relu"):
        MLP((6, 8, 3), "relu", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"sizes=\(6,\)"):
        MLP((6,), act.relu, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("activation", [act.glu, act.swiglu, act.maxout, act.crelu, act.bind(act.maxout, pieces=4)])
def test_activations_that_change_the_number_of_units_are_refused(activation) -> None:
    for width in (7, 8):
        with pytest.raises(ValueError, match=r"MLP: \w+ makes \d+ units of 8; give an activation that keeps"):
            MLP((4, width, 2), activation, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("activation", [act.softmax, act.bind(act.maxout, pieces=1)])
def test_functions_of_an_axis_that_keep_its_length_are_taken(activation) -> None:
    assert MLP((6, 8, 3), activation, rngs=nnx.Rngs(0))(X).shape == (5, 3)


def test_a_registered_function_of_an_axis_learns_its_setting() -> None:
    def scaled_softmax(x, scale):
        return scale * act.softmax(x)

    texts = {"formula": "s softmax(x)", "use": "Tests.", "weakness": "None.", "reference": "Nobody, 2025"}
    act.register(scaled_softmax, kind="axis", initial={"scale": 1.0}, **texts)
    try:
        assert MLP((6, 8, 3), scaled_softmax, rngs=nnx.Rngs(0))(X).shape == (5, 3)
    finally:
        del act.CATALOGUE["scaled_softmax"]
