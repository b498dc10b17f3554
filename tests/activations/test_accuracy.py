"""Value, slope and curvature against float64 formulas, in units in the last place."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_accuracy import (
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
from tests.precision import FUSED, double

pytestmark = pytest.mark.usefixtures("optimised")
SPECIAL = [-np.inf, np.inf, 0.0, -0.0, np.nan]
# Casts apart, no line of the package distinguishes float16 and bfloat16, and float32 is audited in more digits than
# float16 has. Rows whose slope is another formula in half precision, those that keep the output, are audited in both.
IN_BOTH = {(row.kind, row.keeps): name for name, row in CATALOGUE.items()}.values()
HALVES = [(name, "bfloat16") for name in CATALOGUE] + [
    (name, "float16") for name, row in CATALOGUE.items() if name in IN_BOTH or row.keeps == "output"
]
AUDITED = HALVES + [(name, "float32") for name in CATALOGUE]
LEARNED = [name for name, row in CATALOGUE.items() if row.initial]


@functools.cache
def inputs(dtype: str) -> np.ndarray:
    """The inputs of one type, sorted; before them the special values."""
    x = some_singles(131071, around=256) if dtype == "float32" else all_halves(dtype)
    return np.concatenate([np.array(SPECIAL, x.dtype), np.sort(x.astype(np.float64)).astype(x.dtype)])


@functools.cache
def results(name: str, dtype: str) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The inputs of one type without the special values, and what the row makes of all."""
    x = inputs(dtype)
    return x[len(SPECIAL) :], orders(CATALOGUE[name].probe, FUSED)(x)


def errors(name: str, dtype: str) -> tuple:
    x, y = results(name, dtype)
    return audit(reference(name, dtype, x), lambda _: tuple(part[len(SPECIAL) :] for part in y))


def settings_of(name: str) -> dict:
    return {**CATALOGUE[name].settings, **CATALOGUE[name].initial}


@pytest.mark.parametrize(("name", "dtype"), HALVES)
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


def test_squareplus_of_any_width() -> None:
    """Value, slope and curvature, and the derivative in b, for inputs of all sizes."""
    sizes = np.logspace(-30, 38, 501).astype(np.float32)
    x, b = np.concatenate([-sizes, sizes]), np.array([[1e-30], [4.0], [1e10], [1e20], [1e30], [3e38]], np.float32)
    wide = np.broadcast_to(x, (len(b), len(x))).astype(np.longdouble)
    r = np.sqrt(wide * wide + b.astype(np.longdouble))
    below = b / (2 * (r + np.abs(wide)))
    true = (np.maximum(wide, 0) + below, np.where(wide < 0, below / r, 0.5 + wide / r / 2), b / 2 / r**3, 1 / (4 * r))

    @functools.partial(jax.jit, compiler_options=FUSED)
    def at(x: jax.Array, b: jax.Array) -> tuple[jax.Array, ...]:
        slope = jax.grad(act.squareplus)
        orders = act.squareplus, slope, jax.grad(slope), jax.grad(act.squareplus, 1)
        return tuple(jax.vmap(order)(x, b) for order in orders)

    pairs = jnp.asarray(wide.ravel(), jnp.float32), jnp.repeat(jnp.asarray(b)[:, 0], len(x))
    for got, expected in zip(at(*pairs), map(np.ravel, true), strict=True):
        normal = (expected > 2e-38) & (expected < 3.4e38)
        np.testing.assert_allclose(got[normal], expected[normal].astype(np.float64), rtol=6e-7)


@pytest.mark.parametrize("b", [1e-30, 4.0, 1e10, 1e20, 1e200])
def test_squareplus_in_float64(b: float) -> None:
    """Where x² and b overflow float32, and where x² overflows float64."""
    sizes = np.geomspace(1e-30, 1e300, 301)
    x = np.concatenate([-sizes, sizes])
    r = np.sqrt(x.astype(np.longdouble) ** 2 + np.longdouble(b))
    below = b / (2 * (r + np.abs(x)))
    true = np.maximum(x, 0) + below, np.where(x < 0, below / r, 0.5 + x / r / 2)
    with double():
        found = jax.vmap(jax.value_and_grad(act.squareplus), (0, None))(jnp.asarray(x), b)
        for got, expected in zip(found, true, strict=True):
            np.testing.assert_allclose(np.asarray(got), expected.astype(np.float64), rtol=1e-15, atol=1e-290)


@pytest.mark.parametrize("name", LEARNED)
def test_derivatives_in_learned_numbers_are_rounded_right(name: str) -> None:
    row, x = CATALOGUE[name], inputs("bfloat16")[len(SPECIAL) :]
    starts = {setting: jnp.asarray(start) for setting, start in row.initial.items()}

    def derivatives(x: jax.Array, setting: str) -> jax.Array:
        """By each entry of the setting."""
        start = starts[setting]
        along = lambda t: jax.jvp(lambda p: row.probe(x, **{setting: p}), (start,), (t,))[1]  # noqa: E731
        return jax.vmap(along)(jnp.eye(start.size).reshape(-1, *start.shape))

    found = jax.jit(lambda x: {s: derivatives(x, s) for s in starts}, compiler_options=FUSED)(jnp.asarray(x))
    wide = x.astype(np.float64)
    judged = ~np.isin(wide, row.kinks) & (np.abs(wide) < 1e37)  # beyond, 1/x is no normal number
    for setting, by_entry in found.items():
        for entry, got in enumerate(np.asarray(by_entry, np.float64)):
            true = truth_by(name, wide, setting, entry if starts[setting].ndim else None, **settings_of(name))
            error = error_of(wide, got, true, "bfloat16", judged, near_root(row, wide, (true,)))
            assert error.ulp <= 0.51 and error.broken == 0, (setting, entry, error)


@pytest.mark.parametrize(("name", "dtype"), AUDITED)
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


@pytest.mark.parametrize(("name", "dtype"), AUDITED)
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
