"""Every row under every transformation; dtypes; jit and eager bit for bit."""

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite.activations import CATALOGUE, Activation
from jaxopt_lite.bench._activation_accuracy import all_halves
from tests.precision import double

ROWS = pytest.mark.parametrize("name", CATALOGUE)
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)) * 2 + 0.037, jnp.float32)


def call(row: Activation) -> partial:
    return partial(row.function, **row.settings)


@ROWS
def test_first_and_second_order_transformations_agree(name: str) -> None:
    f = call(CATALOGUE[name])
    y = f(X)
    t = jnp.cos(jnp.arange(X.size, dtype=jnp.float32)).reshape(X.shape)
    ct = jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)

    def through(h: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda h, _: (0.5 * h + 0.1 * jnp.mean(f(h)), None), h, length=3)[0].sum()

    @jax.jit
    def transformed(x: jax.Array, t: jax.Array, ct: jax.Array) -> dict[str, jax.Array]:
        return {
            "jit": f(x),
            "vmap": jax.vmap(f)(x),
            "jvp": jax.jvp(f, (x,), (t,))[1],
            "linearize": jax.linearize(f, x)[1](t),
            "vjp": jax.vjp(f, x)[1](ct)[0],
            "vjp in vmap": jax.vmap(lambda x, c: jax.vjp(f, x)[1](c)[0])(x, ct),
            "vjp of remat": jax.vjp(jax.checkpoint(f), x)[1](ct)[0],
            "scan": jax.grad(through)(x),
        }

    got = transformed(X, t, ct)
    for same, expected in (("jit", y), ("vmap", y), ("linearize", got["jvp"])):
        np.testing.assert_allclose(got[same], expected, rtol=2e-5, atol=1e-5)
    for same in ("vjp in vmap", "vjp of remat"):
        np.testing.assert_allclose(got[same], got["vjp"], rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(jnp.vdot(ct, got["jvp"]), jnp.vdot(got["vjp"], t), rtol=1e-4, atol=1e-4)
    assert got["scan"].shape == X.shape and np.isfinite(got["scan"]).all()


@ROWS
def test_higher_derivatives_agree_with_differences(name: str) -> None:
    f = CATALOGUE[name].probe
    kinks = np.array([*CATALOGUE[name].kinks, 1e9, 0.0])
    x = jnp.asarray([v for v in np.linspace(-2.9, 2.9, 8) if np.abs(v - kinks).min() > 0.05], jnp.float32)

    def derivative(g, reverse: bool):
        ones = jnp.ones_like(x)
        return (lambda x: jax.vjp(g, x)[1](ones)[0]) if reverse else (lambda x: jax.jvp(g, (x,), (ones,))[1])

    @jax.jit
    def at(x: jax.Array) -> tuple:
        first = derivative(f, True)
        seconds = [derivative(derivative(f, a), b) for a, b in ((True, True), (True, False), (False, True))]
        thirds = [derivative(seconds[0], True), derivative(seconds[1], False)]
        hessian = jax.hessian(lambda x: jnp.sum(f(x)))(x)
        return first(x), [s(x) for s in seconds], [t(x) for t in thirds], jnp.diag(hessian)

    h = 0.01
    (above, bend_above, _, _), (below, bend_below, _, _), (_, seconds, thirds, diagonal) = (
        at(x + h),
        at(x - h),
        at(x),
    )
    for second in (*seconds, diagonal):
        np.testing.assert_allclose(second, (above - below) / (2 * h), rtol=0.02, atol=2e-3)
    for third in thirds:
        np.testing.assert_allclose(third, (bend_above[0] - bend_below[0]) / (2 * h), rtol=0.05, atol=5e-3)


@ROWS
def test_dtypes_are_kept_and_integers_become_floats(name: str) -> None:
    f = call(CATALOGUE[name])

    def kinds(x: jax.Array) -> tuple:
        y, back = jax.vjp(f, x)
        return y, back(y)[0], jax.jvp(f, (x,), (x,))[1]

    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        for seen in jax.eval_shape(kinds, jax.ShapeDtypeStruct((4,), dtype)):
            assert seen.dtype == dtype and not seen.weak_type
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
    if name != "rational":  # its curvature cancels near the roots: what a fused multiplication keeps shows there
        np.testing.assert_array_equal(curvature(x), jax.jit(curvature)(x))


def test_functions_pickle_and_are_hashable() -> None:
    for row in CATALOGUE.values():
        assert pickle.loads(pickle.dumps(row.function)) is row.function
        hash(row.function)
