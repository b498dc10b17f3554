"""What activations refuse, and how they say it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_truth import truth


@pytest.mark.parametrize("name", CATALOGUE)
def test_complex_and_boolean_arrays_are_refused(name: str) -> None:
    row = CATALOGUE[name]
    for bad, cure in ((jnp.ones((2, 4), bool), "cast it"), (jnp.ones((2, 4), jnp.complex64), "real part")):
        with pytest.raises(TypeError, match=rf"{name}: x has dtype {bad.dtype} and shape \(2, 4\).*{cure}"):
            row.function(bad, **row.settings)
        with pytest.raises(TypeError, match=name):
            jax.jit(lambda x: row.function(x, **row.settings))(bad)


@pytest.mark.parametrize(
    ("function", "setting"),
    [(f, s) for f, row in CATALOGUE.items() for s, start in row.initial.items() if np.ndim(start) == 0],
)
def test_parameters_that_do_not_fit_are_refused(function: str, setting: str) -> None:
    with pytest.raises(
        ValueError, match=rf"{function}: .*shape \(3,\) does not fit x of shape \(2, 4\).*give a scalar"
    ):
        CATALOGUE[function].function(jnp.ones((2, 4)), **{setting: jnp.ones(3)})


@pytest.mark.parametrize(
    "call",
    [
        lambda v: act.celu(1.0, v),
        lambda v: act.pelu(1.0, v),
        lambda v: act.pelu(1.0, 1.0, v),
        lambda v: act.snake(1.0, v),
        lambda v: act.squareplus(1.0, v),
        lambda v: act.softshrink(1.0, v),
        lambda v: act.hardshrink(1.0, v),
    ],
)
def test_negative_numbers_are_refused_where_the_formula_needs_positive_ones(call) -> None:
    for bad in (-1, -0.5, np.float32(-2)):
        with pytest.raises(ValueError, match=r"needs .* number; give \w+ >"):
            call(bad)
    jax.jit(call)(-1.0)  # a tracer cannot be checked


@pytest.mark.parametrize(
    ("function", "setting"), [(act.celu, "alpha"), (act.pelu, "alpha"), (act.pelu, "beta"), (act.snake, "alpha")]
)
def test_positive_numbers_that_float32_cannot_divide_by_are_refused(function, setting: str) -> None:
    for bad in (1e-46, 1e-40, 1e38, np.inf):
        with pytest.raises(ValueError, match=rf"{setting}=.*give {setting} > 0, from 1.2e-38 to 8.5e\+37"):
            function(-1.0, **{setting: bad})
    for good in (1.2e-38, 8e37):
        assert np.isfinite(float(function(-1.0, **{setting: good})))
    assert float(act.celu(-1.0, 8e37)) == pytest.approx(-1.0, rel=1e-6)


def test_counts_and_axes_are_integers() -> None:
    x = jnp.ones((2, 4))
    with pytest.raises(TypeError, match=r"maxout: pieces=2.0 is not an integer"):
        act.maxout(x, pieces=2.0)
    for f in (act.softmax, act.sparsemax, act.crelu, act.maxout, act.glu):
        with pytest.raises(TypeError, match=r"axis=1.0 is not an integer"):
            f(x, axis=1.0)
    np.testing.assert_array_equal(act.maxout(x, pieces=np.int64(2)), jnp.ones((2, 2)))


@pytest.mark.parametrize("name", [name for name, row in CATALOGUE.items() if row.kind != "gated"])
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
def test_empty_arrays_give_empty_arrays(name: str, shape: tuple[int, ...]) -> None:
    if CATALOGUE[name].kind == "axis" and shape[-1]:
        shape = (0, 4)
    y, back = jax.vjp(lambda x: CATALOGUE[name].function(x, **CATALOGUE[name].settings), jnp.zeros(shape))
    assert y.size == 0 and back(y)[0].shape == shape


def test_axes_and_lengths_that_do_not_fit_are_refused() -> None:
    x = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"swiglu: x of shape \(2, 3\) cannot be split in two halves along axis -1"):
        act.swiglu(x)
    with pytest.raises(ValueError, match=r"maxout: axis 1 of x of shape \(2, 3\) cannot be cut in groups of 2"):
        act.maxout(x)
    for f in (act.softmax, act.log_softmax, act.sparsemax, act.crelu, act.maxout, act.glu, act.swiglu):
        with pytest.raises(ValueError, match=r"x of shape \(2, 3\) has no axis 5; give an axis it has"):
            f(x, axis=5)
    with pytest.raises(ValueError, match=r"rational: numerator of shape \(3,\)"):
        act.rational(x, [1.0, 2.0, 3.0])


def test_channels_have_their_own_numbers() -> None:
    x = jnp.asarray([[-1.0, -1.0, 2.0], [-2.0, 3.0, -4.0]])
    slope = jnp.asarray([0.1, 0.2, 0.3])
    np.testing.assert_allclose(act.prelu(x, slope), np.where(x < 0, x * slope[None], x))
    gradient = jax.grad(lambda s: act.prelu(x, s).sum())(slope)
    np.testing.assert_allclose(gradient, [-3.0, -1.0, -4.0])
    half = jax.grad(lambda s: act.prelu(x.astype(jnp.bfloat16), s).sum().astype(jnp.float32))(slope)
    assert half.dtype == jnp.float32
    p = jnp.stack([jnp.asarray(CATALOGUE["rational"].initial["numerator"])] * 3, -1)
    np.testing.assert_allclose(act.rational(x, p), act.rational(x), rtol=1e-6)


def test_softmax_axes_and_masks() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 5)), jnp.float32)
    mask = x > -0.5
    for f, g in ((act.softmax, jax.nn.softmax), (act.log_softmax, jax.nn.log_softmax)):
        for axis in (0, 1, -1, (0, 2), None):
            np.testing.assert_allclose(f(x, axis), g(x, axis), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(f(x, -1, mask), g(x, -1, mask), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(act.sparsemax(x, 1).sum(1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(act.sparsemax(jnp.asarray([0.1, 1.2, 0.9])), [0.0, 0.65, 0.35], rtol=1e-6)


def test_gelu_takes_no_text() -> None:
    with pytest.raises(TypeError, match="gelu: approximate='none': give True for the tanh form, False for the exact"):
        CATALOGUE["gelu"].function(1.0, "none")


def test_texts_in_place_of_arrays_and_functions_are_refused() -> None:
    with pytest.raises(TypeError, match="relu: x is the text 'relu', but relu needs an array of real numbers"):
        act.relu("relu")
    with pytest.raises(TypeError, match=r"bind: 'leaky_relu' is not a function; give activations\.leaky_relu"):
        act.bind("leaky_relu")
    with pytest.raises(TypeError, match=r"bind: 3 is not a function; give a function of"):
        act.bind(3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("logsumexp", r"use jax\.nn\.logsumexp"),
        ("one_hot", r"use jax\.nn\.one_hot"),
        ("hard_swish", "use hard_silu"),
        ("reluu", "unknown activation 'reluu': did you mean 'relu'"),
    ],
)
def test_a_name_that_is_missing_names_what_was_meant(name: str, text: str) -> None:
    with pytest.raises(AttributeError, match=text):
        getattr(act, name)


@pytest.mark.parametrize("name", CATALOGUE)
def test_none_is_refused_by_name(name: str) -> None:
    row = CATALOGUE[name]
    with pytest.raises(TypeError, match=r"x is None, but \w+ needs an array of real numbers"):
        row.function(None, **row.settings, **row.initial)


def test_rational_without_a_fourth_power_below_is_right_to_the_documented_size() -> None:
    for above, below in [
        ((0, 1, 0, 0, 0, 0), (0, 1, 0, 0)),
        ((0, 1, 0, 0, 0, 0), (0,) * 4),
        ((1, 0, 0, 0, 0, 0), (1, 0, 0, 0)),
    ]:
        numbers = {"numerator": tuple(map(float, above)), "denominator": tuple(map(float, below))}
        f = functools.partial(act.rational, **numbers)
        for order, (g, size) in enumerate([(f, 1e6), (jax.grad(f), 1e4), (jax.grad(jax.grad(f)), 1e3)]):
            true = truth("rational", np.asarray([size]), **numbers)[order]
            np.testing.assert_allclose(g(size), np.ravel(true)[0], rtol=1e-5)
