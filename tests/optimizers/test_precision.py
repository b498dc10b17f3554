"""Half precision: nothing turns to NaN that need not, moments mean something, parameters move."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers._bits import random_bits, rounded, stream
from tests.optimizers.optimizer_cases import CASES

KINDS = ("zero", "tiny", "huge", "one inf", "one nan")


def faulty(dtype: Any) -> jax.Array:
    """One row a kind of gradient; the last two are ordinary but for one entry."""
    info = jnp.finfo(dtype)
    ordinary = np.linspace(-1, 1, 6)
    # A momentum sums ten gradients: a sixteenth of the largest number is the largest that it can stand.
    rows = [np.zeros(6), np.full(6, float(info.tiny)), np.full(6, float(info.max) / 16), ordinary, ordinary]
    grads = jnp.asarray(np.stack(rows), jnp.float32).astype(dtype)
    return grads.at[3, 0].set(jnp.inf).at[4, 0].set(jnp.nan)


# bfloat16 has the range of float32, and like float16 it is cast to float32: one case of it is enough.
RANGES = [(name, dtype) for name in CASES for dtype in (jnp.float32, jnp.float16)] + [("amsgrad", jnp.bfloat16)]


@pytest.mark.parametrize("name, dtype", RANGES)
def test_nothing_non_finite_where_the_formula_is_finite(name: str, dtype: Any) -> None:
    tx = CASES[name](1e-3)

    @jax.jit
    @jax.vmap
    def three_steps(grads: Any) -> Any:
        params = jnp.linspace(-1, 1, 6).astype(dtype)
        state = tx.init(params)
        steps = []
        for _ in range(3):
            updates, state = tx.update(grads, state, params)
            steps.append(updates)
        return jnp.stack(steps)

    finite = np.isfinite(np.asarray(three_steps(faulty(dtype)), np.float32))
    for kind, row in zip(KINDS, finite, strict=True):
        assert row[:, 1:].all(), kind
        assert kind.startswith("one") or row.all(), kind


@pytest.mark.parametrize("nu_dtype", [None, jnp.bfloat16])
def test_second_moment_follows_a_falling_gradient(nu_dtype: Any) -> None:
    """Optax's moment in bfloat16 stays 3.4 times too large after 2000 steps. Ours is the mean over entries."""

    def last(params: Any, **settings: Any) -> float:
        tx = opt.adam(1e-3, **settings)
        grads = jnp.where(jnp.arange(2300) < 300, 1.0, 0.1)

        def step(state: Any, g: Any) -> Any:
            return tx.update(jnp.full_like(params, g), state, params)[1], None

        state = jax.jit(lambda: jax.lax.scan(step, tx.init(params), grads)[0])()
        return float(state.moments["nu"].astype(jnp.float32).mean())

    exact = last(jnp.zeros(256, jnp.float32))
    assert 1 / 1.1 < last(jnp.zeros(256, jnp.bfloat16), nu_dtype=nu_dtype) / exact < 1.1


@pytest.mark.parametrize("name", [n for n, row in opt.CATALOGUE.items() if "adam" in n or n == "lion"])
def test_dtypes_of_moments(name: str) -> None:
    function = opt.CATALOGUE[name].function
    settings = {"mu_dtype": "float16"} | ({} if name == "lion" else {"nu_dtype": jnp.bfloat16})
    state = function(0.1, **settings).init(jnp.ones(3))
    kinds = {key: str(value.dtype) for key, value in state.moments.items()}
    expected = {"mu": "float16", "nu": "bfloat16", "nu_max": "bfloat16"}
    assert kinds == {key: expected[key] for key in kinds}
    assert {str(m.dtype) for m in function(0.1).init(jnp.ones(3, jnp.bfloat16)).moments.values()} == {"float32"}


@pytest.mark.parametrize("g", [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4])
def test_steps_with_a_second_moment_in_bfloat16_are_right(g: float) -> None:
    tx, grads = opt.adam(1.0, nu_dtype=jnp.bfloat16), jnp.full(256, g)

    def step(state: Any, _: Any) -> Any:
        updates, state = tx.update(grads, state)
        return state, updates

    _, updates = jax.jit(lambda: jax.lax.scan(step, tx.init(grads), length=1000))()
    np.testing.assert_allclose(updates, -g / (g + 1e-8), rtol=0.1)
    np.testing.assert_allclose(updates.mean(), -g / (g + 1e-8), rtol=1e-2)


NU = [name for name, row in opt.CATALOGUE.items() if "nu_dtype" in inspect.signature(row.function).parameters]


@pytest.mark.parametrize("name", NU)
def test_float16_is_too_narrow_for_squares(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: nu_dtype=float16 has too small a range.* Give jax.numpy.bfloat16"):
        opt.CATALOGUE[name].function(0.1, nu_dtype=jnp.float16)


def test_random_bits_are_even_and_independent() -> None:
    a = random_bits(stream(jnp.int32(0), 0, "codes"), (64, 1024))
    b = random_bits(stream(jnp.int32(1), 0, "codes"), (64, 1024))
    c = random_bits(stream(jnp.int32(0), 1, "codes"), (64, 1024))
    for bit in range(0, 32, 5):
        planes = [np.asarray((x >> bit) & 1, np.float64).ravel() for x in (a, b, c)]
        for plane in planes:
            assert abs(plane.mean() - 0.5) < 0.01
            assert abs(np.corrcoef(plane[1:], plane[:-1])[0, 1]) < 0.015
        assert abs(np.corrcoef(planes[0], planes[1])[0, 1]) < 0.015
        assert abs(np.corrcoef(planes[0], planes[2])[0, 1]) < 0.015


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_rounding_is_right_on_average(dtype: Any) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=16), jnp.float32)
    wide = jnp.broadcast_to(x, (20_000, 16))
    out = np.asarray(rounded(wide, dtype, random_bits(stream(jnp.int32(3), 1, "codes"), wide.shape)), np.float64)
    digit = np.spacing(np.asarray(x.astype(dtype))).astype(np.float64) if dtype == jnp.float16 else np.abs(x) * 2**-7
    assert np.all(np.abs(out - np.asarray(x)) <= digit * 1.0001)
    np.testing.assert_allclose(out.mean(0), x, atol=float(np.max(digit)) * 0.02)
    special = jnp.array([jnp.inf, -jnp.inf, jnp.nan, float(jnp.finfo(dtype).max), 0.0], jnp.float32)
    same = rounded(special, dtype, jnp.full(5, 2**32 - 1, jnp.uint32))
    np.testing.assert_array_equal(np.asarray(same, np.float32), np.asarray(special.astype(dtype), np.float32))


# Multiples of the smallest number of float16, 2⁻²⁴, around its smallest normal one, 1024 times as large.
SMALL = [0.01, 0.3, 0.5, 0.99, 1.0, 1.5, 700.3, 1023.7, 1024.4, 2049.0]


@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_to_small_numbers_is_right_on_average(sign: int) -> None:
    digits = sign * np.asarray(SMALL, np.float32)
    wide = jnp.broadcast_to(digits * np.float32(2.0**-24), (100_000, len(SMALL)))
    out = rounded(wide, jnp.float16, random_bits(stream(jnp.int32(3), 1, "codes"), wide.shape))
    units = np.asarray(out, np.float64) * 2.0**24
    assert np.all(np.abs(units - digits) < np.where(np.abs(digits) < 2048, 1, 2))
    np.testing.assert_allclose(units.mean(0), digits, atol=0.01)


def test_rounding_makes_no_number_infinite_that_rounds_to_a_finite_one() -> None:
    x = jnp.array([65472.5, 65503.9, 65504.0, 65519.0], jnp.float32)
    for bits in (0, 2**32 - 1):
        assert float(rounded(x, jnp.float16, jnp.full(4, bits, jnp.uint32)).max()) == 65504


def test_small_float16_parameters_move_on_average() -> None:
    tx, params = opt.stochastic_rounding(opt.sgd(1.0)), jnp.full(20_000, 4e-7, jnp.float16)
    updates, _ = tx.update(jnp.full(20_000, 1e-8), tx.init(params), params)
    assert float(updates.mean()) == pytest.approx(-1e-8, rel=0.05)


WRAPPERS = {"stochastic_rounding": opt.stochastic_rounding, "split_master": opt.split_master}


@pytest.mark.parametrize("inner", [opt.adamw(1e-3), optax.adamw(1e-3)], ids=["ours", "optax"])
@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_parameters_learn(name: str, inner: Any, dtype: Any) -> None:
    target = jnp.asarray(np.random.default_rng(0).normal(size=512), jnp.float32)
    start = jnp.asarray(np.random.default_rng(1).normal(size=512), jnp.float32)

    def train(tx: Any, params: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            params, state = carry
            grads = (params.astype(jnp.float32) - target).astype(params.dtype)
            updates, state = tx.update(grads, state, params)
            return (opt.apply_updates(params, updates), state), None

        end = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), None, length=300)[0][0])(params)
        return np.asarray(end, np.float64)

    exact = train(inner, start)
    wrapped = train(WRAPPERS[name](inner), start.astype(dtype))
    moved = np.abs(exact - start).mean()
    assert abs(np.abs(wrapped - start).mean() / moved - 1) < 0.02
    # Without the wrapper bfloat16 parameters hardly move.
    if dtype == jnp.bfloat16:
        assert np.abs(train(inner, start.astype(dtype)) - start).mean() < 0.7 * moved


@pytest.mark.parametrize("name", WRAPPERS)
def test_half_precision_wrappers_leave_float32_alone(name: str) -> None:
    params = jnp.ones(3)
    tx, plain = WRAPPERS[name](opt.adam(0.1)), opt.adam(0.1)
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_array_equal(updates, plain.update(params, plain.init(params), params)[0])
    with pytest.raises(ValueError, match=f"{name} .* was given none"):
        tx.update(params, tx.init(params))


@pytest.mark.parametrize("name", WRAPPERS)
def test_optax_and_own_application_agree(name: str) -> None:
    params = jnp.asarray(np.random.default_rng(0).normal(size=4096) ** 3, jnp.bfloat16)
    tx = WRAPPERS[name](opt.sgd(0.01))
    updates, _ = tx.update(params, tx.init(params), params)
    ours, theirs = opt.apply_updates(params, updates), optax.apply_updates(params, updates)
    np.testing.assert_array_equal(np.asarray(ours, np.float32), np.asarray(theirs, np.float32))
