"""States in one byte a number: the code, and training with it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers._bits import random_bits, stream
from jaxopt_lite.optimizers.wrappers._compress import Code, decode, decompressed, encode


@jax.jit
def encoded(x: Any, seed: int = 1) -> Any:
    return encode(x, random_bits(stream(jnp.int32(seed), 0, "codes"), x.shape))


@jax.jit
def coded(x: Any, seed: int = 1) -> Any:
    return decode(encoded(x, seed))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("signed", [True, False])
def test_code_of_one_byte(signed: bool, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = 10 ** rng.uniform(-4, 0, size=64).astype(np.float32) * (rng.choice([-1, 1], 64) if signed else 1)
    x[0] = 0
    wide = jnp.broadcast_to(jnp.asarray(x, dtype), (20_000, 64))
    code = encoded(wide)
    assert code.byte.dtype == jnp.uint8 and decode(code).dtype == dtype
    out = np.asarray(decode(code), np.float64)
    assert np.all(out[:, 0] == 0)
    np.testing.assert_allclose(out[:, 1:], np.asarray(wide[:, 1:], np.float64), rtol=0.126)
    np.testing.assert_allclose(out.mean(0), np.asarray(wide[0], np.float64), rtol=2e-3)
    np.testing.assert_array_equal(coded(decode(code), 2), decode(code))


def test_code_below_its_lowest_level() -> None:
    x = jnp.full((20_000,), 2e-6).at[0].set(-1.0)
    np.testing.assert_allclose(coded(x)[1:].mean(), 2e-6, rtol=0.05)
    assert np.all(np.asarray(coded((x * 1e-6).at[0].set(1.0))) > 0)
    assert not np.any(coded(jnp.zeros(10)))


@pytest.mark.parametrize("sign", [1, -1])
def test_code_of_the_largest_and_of_non_finite_entries(sign: int) -> None:
    top = float(jnp.finfo(jnp.float32).max)
    x = sign * jnp.full((1000,), top).at[0].set(jnp.nan).at[1].set(jnp.inf).at[2].set(-jnp.inf)
    out = np.asarray(coded(x))
    assert np.isnan(out[:3]).all()
    np.testing.assert_allclose(out[3:], sign * top, rtol=0.126)


def two_steps(tx: Any, params: Any) -> Any:
    state = tx.init(params)
    for sign in (-1.0, 0.5):
        updates, state = tx.update(jax.tree.map(lambda p, s=sign: jnp.full_like(p, s), params), state, params)
    return updates, state


class Moments(NamedTuple):
    nu: Any
    n: Any


@pytest.mark.parametrize("inner", [opt.adam(0.1), optax.adam(0.1)], ids=["ours", "optax"])
def test_names_of_parameters_do_not_matter(inner: Any) -> None:
    leaf = jnp.zeros(300)
    named = [{"n": leaf, "nu": leaf, "q": leaf, "v": leaf, "vr": leaf}, {"a": {"k": leaf}, "b": {"nu": [leaf]}}]
    for params in [*named, Moments(leaf, leaf)]:
        unnamed = jax.tree.leaves(params)
        updates, state = two_steps(opt.compress(inner), params)
        expected, plain = two_steps(opt.compress(inner), unnamed)
        jax.tree.map(
            np.testing.assert_array_equal, jax.tree.leaves((updates, state)), jax.tree.leaves((expected, plain))
        )
        exact, _ = two_steps(inner, params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.3), updates, exact)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("factory", [optax.adan, optax.contrib.ademamix, optax.adafactor, optax.sm3, optax.adabelief])
def test_moments_of_optax_keep_their_signs(factory: Any) -> None:
    params = {"w": jnp.sin(jnp.arange(40_000.0)).reshape(200, 200)}
    tx, plain = opt.compress(opt.lift(factory)(1e-3)), opt.lift(factory)(1e-3)
    state, exact = tx.init(params), plain.init(params)
    for k in range(3):
        grads = jax.tree.map(lambda p, k=k: jnp.cos(p * 50 + k), params)
        _, state = tx.update(grads, state, params)
        _, exact = plain.update(grads, exact, params)
    for mine, theirs in zip(jax.tree.leaves(decompressed(state)), jax.tree.leaves(exact.inner), strict=False):
        if jnp.size(mine) > 256:
            np.testing.assert_allclose(np.sign(mine).mean(), np.sign(theirs).mean(), atol=0.05)


def test_one_nan_stays_in_its_entry() -> None:
    params, tx = jnp.ones(1000), opt.compress(opt.adam(0.1))
    state = tx.init(params)
    for k in range(3):
        updates, state = tx.update(jnp.ones(1000).at[7].set(jnp.nan if k == 1 else 1.0), state, params)
    assert np.isnan(updates[7])
    np.testing.assert_allclose(np.delete(np.asarray(updates), 7), -0.1, rtol=0.15)


def test_any_shape() -> None:
    params, tx = {"a": jnp.ones((1,) * 8), "b": jnp.ones((1,) * 8 + (300,))}, opt.compress(opt.adam(0.1))
    updates, _ = two_steps(tx, params)
    assert updates["a"].shape == (1,) * 8
    updates, state = two_steps(opt.compress(opt.adam(0.1), min_size=1), params)
    assert isinstance(state.inner.moments["mu"]["a"], Code)


@pytest.mark.parametrize("inner", [opt.adam(1e-2), optax.adam(1e-2)], ids=["ours", "optax"])
def test_compress(inner: Any) -> None:
    size = 4096
    params = jnp.asarray(np.random.default_rng(0).normal(size=size), jnp.float32)
    tx = opt.compress(inner)
    state = tx.init(params)
    assert sum(x.nbytes for x in jax.tree.leaves(state)) / size < 2.2

    def train(tx: Any) -> Any:
        def step(carry: Any, key: Any) -> Any:
            params, state = carry
            noise = jax.random.normal(key, params.shape)
            updates, state = tx.update(params + 0.3 * noise, state, params)
            return (params + updates, state), jnp.mean(params**2)

        keys = jax.random.split(jax.random.key(0), 500)
        return jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), keys)[1])()

    ours, exact = train(tx), train(inner)
    np.testing.assert_allclose(ours[::50], exact[::50], rtol=0.05, atol=2e-3)
    _, after = jax.eval_shape(tx.update, params, state, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_compress_leaves_small_arrays_alone() -> None:
    state = opt.compress(opt.adam(0.1), min_size=100).init({"a": jnp.ones(99), "b": jnp.ones(100)})
    assert state.inner.moments["mu"]["a"].shape == (99,)
    assert state.inner.moments["nu"]["b"].byte.dtype == jnp.uint8
    assert float(opt.settings(state)["learning_rate"]) == pytest.approx(0.1)


@pytest.mark.parametrize("size, error", [(0, ValueError), (2.5, TypeError), (True, TypeError)])
def test_wrong_sizes(size: Any, error: Any) -> None:
    with pytest.raises(error, match="compress: min_size="):
        opt.compress(opt.adam(0.1), size)
