"""Value, slope and curvature against float64 formulas, in units in the last place."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_accuracy import (
    DTYPES,
    Error,
    all_halves,
    audit,
    error_of,
    near_root,
    orders,
    reference,
    some_singles,
)
from jaxopt_lite.bench._activation_truth import TRUTH, truth, truth_by
from tests.precision import FUSED

pytestmark = pytest.mark.usefixtures("optimised")
SPECIAL = [-np.inf, np.inf, 0.0, -0.0, np.nan]
LEARNED = [
    pytest.param(name, setting, entry, id=f"{name}-{setting}-{entry}")
    for name, row in CATALOGUE.items()
    for setting, start in row.initial.items()
    for entry in (range(len(start)) if isinstance(start, list) else [None])
]


@functools.cache
def results(name: str, dtype: str) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The inputs of one type, sorted, and what the row makes of them; before them the special values."""
    x = some_singles(131071, around=256) if dtype == "float32" else all_halves(dtype)
    x = np.concatenate([np.array(SPECIAL, x.dtype), np.sort(x.astype(np.float64)).astype(x.dtype)])
    return x[len(SPECIAL) :], orders(CATALOGUE[name].probe, FUSED)(x)


def errors(name: str, dtype: str) -> tuple:
    x, y = results(name, dtype)
    return audit(reference(name, dtype, x), lambda _: tuple(part[len(SPECIAL) :] for part in y))


def settings_of(name: str) -> dict:
    return {**CATALOGUE[name].settings, **CATALOGUE[name].initial}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_all_half_precision_inputs_are_rounded_right(name: str, dtype: str) -> None:
    found = errors(name, dtype)
    assert all(e.ulp <= 0.51 and e.broken == 0 for e in found), found


@pytest.mark.parametrize("name", CATALOGUE)
def test_float32_stays_within_its_bounds(name: str) -> None:
    found, bounds = errors(name, "float32"), CATALOGUE[name].float32_ulp
    if not CATALOGUE[name].exact_tails:  # 1 - y has lost the digits of the tail: next to 1, a unit is 2^-23
        x, y = results(name, "float32")
        true = truth(name, x.astype(np.float64), **settings_of(name))
        in_units = [np.abs(a[len(SPECIAL) :] - t).max() * 2.0**23 for a, t in zip(y, true, strict=True)]
        found = [found[0], *(Error(error, 0.0, 0) for error in in_units[1:])]
    assert all(e.ulp <= bound and e.broken == 0 for e, bound in zip(found, bounds, strict=True)), found


@pytest.mark.parametrize(("name", "setting", "entry"), LEARNED)
def test_derivatives_in_learned_numbers_are_rounded_right(name: str, setting: str, entry: int | None) -> None:
    row, x = CATALOGUE[name], np.sort(all_halves("bfloat16").astype(np.float64)).astype(DTYPES["bfloat16"])
    start = jnp.asarray(row.initial[setting])
    towards = jnp.ones_like(start) if entry is None else jnp.zeros_like(start).at[entry].set(1.0)
    one = row.probe
    slope = jax.jit(
        lambda x: jax.jvp(lambda p: one(x, **{setting: p}), (start,), (towards,))[1], compiler_options=FUSED
    )
    got = np.asarray(slope(jnp.asarray(x)), np.float64)
    true = truth_by(name, x.astype(np.float64), setting, entry, **settings_of(name))
    wide = x.astype(np.float64)
    judged = ~np.isin(wide, row.kinks) & (np.abs(wide) < 1e37)  # beyond, 1/x is no normal number
    error = error_of(wide, got, true, "bfloat16", judged, near_root(row, wide, (true,)))
    assert error.ulp <= 0.51
    assert error.broken == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CATALOGUE)
def test_limits_at_infinity_and_values_at_zero(name: str, dtype: str) -> None:
    far = np.array([-1.3e30, -1e30, 1e30, 1.3e30])
    true = truth(name, far, **settings_of(name))
    _, got = results(name, dtype)
    for order, (y, t) in enumerate(zip(got, true, strict=True)):
        for side, (a, b) in ((0, t[:2]), (1, t[2:])):
            limit = np.sign(a) * np.inf if abs(a) > 1e15 else a
            if abs(a) > 1e15 or abs(a - b) < 1e-9:  # else it oscillates and has no limit
                np.testing.assert_allclose(float(y[side]), limit, rtol=0.01, atol=1e-12, err_msg=f"order {order}")
        zero = truth(name, np.zeros(1), **settings_of(name))[order]
        if order == 0 or 0.0 not in CATALOGUE[name].kinks:
            np.testing.assert_allclose(y[2:4].astype(np.float64), zero[0], rtol=0.01, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CATALOGUE)
def test_nan_stays_nan(name: str, dtype: str) -> None:
    _, (value, _, _) = results(name, dtype)
    assert np.isnan(float(value[len(SPECIAL) - 1]))


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "softplus", "gelu", "gelu_exact", "silu", "mish", "squareplus", "tanhshrink"]
)
def test_the_truth_agrees_with_sixty_digits(name: str) -> None:
    """The reference itself: values and derivatives in the tails, by arithmetic of sixty digits."""
    mpmath.mp.dps = 60
    formula = {
        "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
        "tanh": mpmath.tanh,
        "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
        "gelu": lambda x: x / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
        "gelu_exact": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
        "silu": lambda x: x / (1 + mpmath.exp(-x)),
        "mish": lambda x: x * mpmath.tanh(mpmath.log(1 + mpmath.exp(x))),
        "squareplus": lambda x: (x + mpmath.sqrt(x * x + 4)) / 2,
        "tanhshrink": lambda x: x - mpmath.tanh(x),
    }[name]
    x = np.array([-30.0, -9.0, -2.5, -0.04, 1e-3, 0.7, 6.0, 25.0])
    for order, t in enumerate(truth(name, x)):
        exact = [float(mpmath.diff(formula, mpmath.mpf(v), order) if order else formula(mpmath.mpf(v))) for v in x]
        np.testing.assert_allclose(t, exact, rtol=1e-9, atol=1e-38)


def test_every_row_has_a_truth() -> None:
    assert set(TRUTH) == set(CATALOGUE)


def test_the_unit_next_to_a_root_is_that_of_a_sixteenth() -> None:
    """The rule that the audit states: within 25 % of a root the unit is taken at 2^-4."""
    x, true, always = np.array([1.0]), np.array([2.0**-20]), np.array([True])
    unit = 2.0 ** (-4 - 23)
    assert error_of(x, true + unit, true, "float32", always, always).ulp == 1.0
    assert error_of(x, true + unit, true, "float32", always, ~always).ulp == 2.0**16
