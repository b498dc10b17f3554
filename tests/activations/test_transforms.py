"""Every row under every transformation; dtypes; jit and eager bit for bit."""

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite.activations import CATALOGUE, Activation
from jaxopt_lite.bench._activation_accuracy import all_halves, probe

ROWS = pytest.mark.parametrize("name", CATALOGUE)
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)) * 2 + 0.037, jnp.float32)


def call(row: Activation) -> partial:
    return partial(row.function, **row.settings)


@ROWS
def test_first_and_second_order_transformations_agree(name: str) -> None:
    f = call(CATALOGUE[name])
    y = f(X)
    np.testing.assert_allclose(jax.jit(f)(X), y, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(f)(X), y, rtol=2e-6, atol=1e-6)
    t = jnp.cos(jnp.arange(X.size, dtype=jnp.float32)).reshape(X.shape)
    forward = jax.jvp(f, (X,), (t,))[1]
    np.testing.assert_allclose(jax.linearize(f, X)[1](t), forward, rtol=2e-5, atol=1e-5)
    ct = jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
    reverse = jax.vjp(f, X)[1](ct)[0]
    np.testing.assert_allclose(jnp.vdot(ct, forward), jnp.vdot(reverse, t), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jax.vmap(lambda x, c: jax.vjp(f, x)[1](c)[0])(X, ct), reverse, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(jax.vjp(jax.checkpoint(f), X)[1](ct)[0], reverse, rtol=2e-5, atol=1e-5)

    def through(h: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda h, _: (0.5 * h + 0.1 * jnp.mean(f(h)), None), h, length=3)[0].sum()

    step = jax.grad(through)(X)
    assert step.shape == X.shape and np.isfinite(step).all()


@ROWS
def test_higher_derivatives_agree_with_differences(name: str) -> None:
    f = probe(CATALOGUE[name])
    kinks = np.array([*CATALOGUE[name].kinks, 1e9, 0.0])
    x = jnp.asarray([v for v in np.linspace(-2.9, 2.9, 8) if np.abs(v - kinks).min() > 0.05], jnp.float32)

    def derivative(g, reverse: bool):
        ones = jnp.ones_like(x)
        return (lambda x: jax.vjp(g, x)[1](ones)[0]) if reverse else (lambda x: jax.jvp(g, (x,), (ones,))[1])

    h = 0.01
    first = derivative(f, True)
    seconds = [derivative(derivative(f, a), b) for a, b in ((True, True), (True, False), (False, True))]
    third = derivative(seconds[0], True)
    values = jax.jit(lambda x: ([s(x) for s in seconds], third(x), derivative(derivative(first, False), False)(x)))(x)
    expected = (first(x + h) - first(x - h)) / (2 * h)
    for second in values[0]:
        np.testing.assert_allclose(second, expected, rtol=0.02, atol=2e-3)
    slope_of_second = (seconds[0](x + h) - seconds[0](x - h)) / (2 * h)
    np.testing.assert_allclose(values[1], slope_of_second, rtol=0.05, atol=5e-3)
    np.testing.assert_allclose(values[2], values[1], rtol=1e-3, atol=1e-4)
    hessian = jax.hessian(lambda x: jnp.sum(f(x)))(x)
    np.testing.assert_allclose(jnp.diag(hessian), values[0][0], rtol=1e-4, atol=1e-5)


@ROWS
def test_dtypes_are_kept_and_integers_become_floats(name: str) -> None:
    f = call(CATALOGUE[name])
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        x = jnp.asarray([1.0, -2.0, 0.5, 3.0], dtype)
        y, back = jax.vjp(f, x)
        assert y.dtype == dtype and back(y)[0].dtype == dtype and not jax.typeof(y).weak_type
        assert jax.jvp(f, (x,), (x,))[1].dtype == dtype
    assert f(jnp.arange(4)).dtype == jnp.float32
    assert f(jnp.arange(4, dtype=jnp.int8)).dtype == jnp.float32
    weak = jnp.broadcast_to(jnp.asarray(0.5), (4,)) if CATALOGUE[name].kind != "elementwise" else 0.5
    assert jax.typeof(f(weak)).weak_type
    if CATALOGUE[name].kind == "elementwise":
        assert f(3).dtype == jnp.float32
        assert (jnp.bfloat16(1.0) * f(0.5)).dtype == jnp.bfloat16


@ROWS
def test_float64_is_computed_in_float64(name: str) -> None:
    with jax.enable_x64(True):
        x = jnp.asarray([0.3, -1.7, 2.4, -0.9], jnp.float64)
        y = call(CATALOGUE[name])(x)
        assert y.dtype == jnp.float64
        coarse = call(CATALOGUE[name])(x.astype(jnp.float32))
        assert coarse.dtype == jnp.float32
        np.testing.assert_allclose(y, coarse, rtol=1e-5, atol=1e-6)
        one = probe(CATALOGUE[name])
        h = 1e-6
        slope = jax.vjp(one, x)[1](jnp.ones_like(x))[0]
        np.testing.assert_allclose(slope, (one(x + h) - one(x - h)) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@ROWS
def test_jit_equals_eager_bit_for_bit_in_half_precision(name: str, dtype: str) -> None:
    f = probe(CATALOGUE[name])
    x = jnp.asarray(all_halves(dtype))

    def slope(x: jax.Array) -> jax.Array:
        return jax.vjp(f, x)[1](jnp.ones_like(x))[0]

    for g in (f, slope):
        eager, compiled = (np.asarray(y).view(np.uint16) for y in (g(x), jax.jit(g)(x)))
        np.testing.assert_array_equal(eager, compiled)


def test_functions_pickle_and_are_hashable() -> None:
    for row in CATALOGUE.values():
        assert pickle.loads(pickle.dumps(row.function)) is row.function
        hash(row.function)
