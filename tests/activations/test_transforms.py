"""Every row under every transformation; dtypes; jit and eager bit for bit."""

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite.activations import CATALOGUE, Activation
from jaxopt_lite.activations._laws import LAWS
from jaxopt_lite.bench._activation_accuracy import all_halves
from tests.precision import double

ROWS = pytest.mark.parametrize("name", CATALOGUE)


def call(row: Activation) -> partial:
    return partial(row.function, **row.settings)


@pytest.mark.parametrize("law", LAWS)
@ROWS
def test_rows_obey_the_laws_of_check(name: str, law: str) -> None:
    LAWS[law](CATALOGUE[name])


@ROWS
def test_integers_become_floats_and_python_numbers_stay_weak(name: str) -> None:
    f = call(CATALOGUE[name])
    for dtype in (jnp.int32, jnp.int8):
        assert jax.eval_shape(f, jax.ShapeDtypeStruct((4,), dtype)).dtype == jnp.float32
    if CATALOGUE[name].kind == "elementwise":
        for number in (0.5, 3):
            seen = jax.eval_shape(lambda: f(number))  # noqa: B023
            assert seen.dtype == jnp.float32 and seen.weak_type


@ROWS
def test_float64_is_computed_in_float64(name: str) -> None:
    with double():
        x = jnp.asarray([0.3, -1.7, 2.4, -0.9], jnp.float64)
        one, h = CATALOGUE[name].probe, 1e-6

        @jax.jit
        def at(x: jax.Array) -> tuple:
            return one(x), jax.vjp(one, x)[1](jnp.ones_like(x))[0], one(x.astype(jnp.float32))

        (y, slope, coarse), above, below = at(x), at(x + h)[0], at(x - h)[0]
        assert y.dtype == slope.dtype == jnp.float64 and coarse.dtype == jnp.float32
        np.testing.assert_allclose(y, coarse, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(slope, (above - below) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@ROWS
def test_jit_equals_eager_bit_for_bit_in_half_precision(name: str, dtype: str) -> None:
    f = CATALOGUE[name].probe
    x = jnp.asarray(all_halves(dtype))

    def slope(x: jax.Array) -> jax.Array:
        return jax.vjp(f, x)[1](jnp.ones_like(x))[0]

    def curvature(x: jax.Array) -> jax.Array:
        return jax.vjp(slope, x)[1](jnp.ones_like(x))[0]

    for g in (f, slope):
        eager, compiled = (np.asarray(y).view(np.uint16) for y in (g(x), jax.jit(g)(x)))
        np.testing.assert_array_equal(eager, compiled)
    if CATALOGUE[name].same_curvature:
        np.testing.assert_array_equal(curvature(x), jax.jit(curvature)(x))


def test_functions_pickle_and_are_hashable() -> None:
    for row in CATALOGUE.values():
        assert pickle.loads(pickle.dumps(row.function)) is row.function
        hash(row.function)
