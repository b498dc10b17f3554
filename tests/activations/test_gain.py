"""Gains, against the catalogue and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite.activations import CATALOGUE, bind, gain, leaky_relu, log_softmax, relu, sine, softmax, swiglu

ELEMENTWISE = {name: row for name, row in CATALOGUE.items() if row.kind == "elementwise"}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_catalogue(name: str) -> None:
    assert gain(ELEMENTWISE[name].probe) == pytest.approx(ELEMENTWISE[name].gain, rel=2e-4)


def test_closed_forms() -> None:
    assert gain(relu) == pytest.approx(2**0.5, rel=1e-6)
    assert gain(bind(leaky_relu, negative_slope=0.3)) == pytest.approx((2 / 1.09) ** 0.5, rel=1e-6)
    assert gain(lambda x: sine(x)) == pytest.approx(((1 - np.exp(-2)) / 2) ** -0.5, rel=1e-6)


def test_it_can_be_differentiated_by_a_number_of_the_function() -> None:
    slope = jax.grad(lambda s: gain(bind(leaky_relu, negative_slope=s)))(0.3)
    assert float(slope) == pytest.approx(-(2**0.5) * 0.3 / 1.09**1.5, rel=1e-5)
    assert float(jax.jit(gain, static_argnums=0)(jnp.tanh)) == pytest.approx(gain(jnp.tanh), rel=1e-6)


@pytest.mark.parametrize("fn", [softmax, log_softmax, jnp.zeros_like])
def test_constants_are_refused(fn) -> None:
    with pytest.raises(ValueError, match=r"gain: .* maps single numbers to values from .* give a function that is"):
        gain(fn)


def test_what_is_not_elementwise_is_refused() -> None:
    with pytest.raises(TypeError, match="gain: swiglu is not elementwise"):
        gain(swiglu)
    with pytest.raises(TypeError, match=r"gain: 'relu' is not a function; give activations\.relu"):
        gain("relu")


def test_inside_jit_it_is_a_float_unless_a_number_is_traced() -> None:
    @jax.jit
    def inside(slope: jax.Array) -> jax.Array:
        assert type(gain(relu)) is float and gain(relu) == gain(relu)
        with pytest.raises(ValueError, match="not constant"):
            gain(softmax)
        traced = gain(bind(leaky_relu, negative_slope=slope))
        assert isinstance(traced, jax.core.Tracer)
        return gain(relu) + traced

    assert float(inside(0.3)) == pytest.approx(2**0.5 + (2 / 1.09) ** 0.5, rel=1e-6)
