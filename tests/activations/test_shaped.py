"""Shaped activations satisfy their conditions, are pytrees, and refuse what cannot be shaped."""

import pickle
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations as act
from jaxopt_lite.activations import bind, shaped

# Gauss-Hermite quadrature, for smooth functions: the package's is another rule.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(150)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# f, f' and f'' in float64, from textbooks.
FORMULAS = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2, lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2),
    "softplus": (lambda x: np.logaddexp(x, 0), sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "silu": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
        lambda x: sigmoid(x) * sigmoid(-x) * (2 - x * np.tanh(x / 2)),
    ),
    "sine": (np.sin, np.cos, lambda x: -np.sin(x)),
}


def moments(f: act.Shaped, formulas) -> dict[str, float]:
    a, b, d, p = (f.settings[name] for name in ("input_scale", "input_shift", "output_shift", "output_scale"))
    x = a * NODES + b
    g, slope, curvature = p * (formulas[0](x) + d), p * a * formulas[1](x), p * a * a * formulas[2](x)
    return {
        "Q(1)": WEIGHTS @ g**2,
        "Q'(1)": WEIGHTS @ (NODES * g * slope),
        "C(0)": (WEIGHTS @ g) ** 2,
        "C'(1)": WEIGHTS @ slope**2,
        "C''(1)": WEIGHTS @ curvature**2,
    }


@pytest.mark.parametrize("depth", [1.5, 50, 1000])
@pytest.mark.parametrize("name", FORMULAS)
def test_tat(name: str, depth: float) -> None:
    found = moments(shaped(getattr(act, name), depth), FORMULAS[name])
    for condition in ("Q(1)", "Q'(1)", "C'(1)"):
        assert found[condition] == pytest.approx(1, abs=1e-3 / depth), condition
    assert found["C''(1)"] == pytest.approx(0.3 / depth, rel=1e-3)


@pytest.mark.parametrize("depth", [5, 50, 1000])
@pytest.mark.parametrize("name", FORMULAS)
def test_dks(name: str, depth: float) -> None:
    found = moments(shaped(getattr(act, name), depth, "dks"), FORMULAS[name])
    for condition in ("Q(1)", "Q'(1)"):
        assert found[condition] == pytest.approx(1, abs=1e-3 / depth), condition
    assert found["C(0)"] == pytest.approx(0, abs=1e-8)
    assert found["C'(1)"] ** depth == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize("depth", [15, 50, 50.5, 400])
def test_the_slope_of_leaky_relu(depth: float) -> None:
    f = shaped(act.leaky_relu, depth)
    slope, scale = f.settings["negative_slope"], f.settings["output_scale"]
    assert scale**2 * (1 + slope**2) / 2 == pytest.approx(1)  # E f² and E f'²
    angles = (np.arange(4096) + 0.5) * 2 * np.pi / 4096

    def after_layer(c: float) -> float:  # for homogeneous f: 2 E over the circle, by its definition
        second = c * np.cos(angles) + np.sqrt(1 - c * c) * np.sin(angles)
        leaky = [np.where(x > 0, x, slope * x) for x in (np.cos(angles), second)]
        return 2 * scale**2 * float(np.mean(leaky[0] * leaky[1]))

    c = 0.0
    for _ in range(int(depth)):
        c = after_layer(c)
    c += (depth % 1) * (after_layer(c) - c)
    assert c == pytest.approx(0.9, abs=1e-4)


def test_a_shallow_leaky_relu_is_relu() -> None:
    f = shaped(jax.nn.leaky_relu, 1)
    assert f.settings["negative_slope"] == 0.0
    np.testing.assert_allclose(f(jnp.array([-3.0, 2.0])), [0.0, 2 * 2**0.5], rtol=1e-6)
    assert shaped(act.prelu, 50).settings == shaped(act.leaky_relu, 50).settings


def of_bent_line(x):
    return jnp.arctan(x) + 0.1 * x * x


@pytest.mark.parametrize(
    "same",
    [lambda x: of_bent_line(3 * x), lambda x: 5 * of_bent_line(x) - 2, lambda x: of_bent_line(x - 0.5)],
    ids=["scale", "affine", "shift"],
)
def test_scales_and_shifts_of_the_function_do_not_matter(same) -> None:
    x = jnp.linspace(-3, 3, 13)
    np.testing.assert_allclose(shaped(same, 50)(x), shaped(of_bent_line, 50)(x), atol=2e-4)


def test_it_prints_compares_hashes_and_pickles() -> None:
    f = shaped(act.tanh, 50)
    assert repr(f) == f.name == "shaped(tanh, 50)"
    assert repr(shaped(act.silu, 20, method="dks")) == "shaped(silu, 20, method='dks')"
    assert repr(shaped(bind(act.swish, beta=2.0), 7.5)) == "shaped(bind(swish, beta=2.0), 7.5)"
    assert f == shaped(act.tanh, 50) != shaped(act.tanh, 51)
    assert hash(f) == hash(shaped(act.tanh, 50))
    again = pickle.loads(pickle.dumps(f))
    assert again == f and again(0.3) == f(0.3)


def test_numbers_are_leaves() -> None:
    f = shaped(bind(act.swish, beta=2.0), 50)
    paths, structure = jax.tree_util.tree_flatten_with_path(f)
    names = [path[-1].name for path, _ in paths]
    assert names == ["input_scale", "input_shift", "output_shift", "output_scale", "beta"]
    assert [leaf for _, leaf in paths] == [*f.settings.values(), 2.0]
    assert jax.tree.unflatten(structure, [leaf for _, leaf in paths]) == f
    assert jax.tree.structure(shaped(act.tanh, 50)) == jax.tree.structure(
        jax.tree.map(lambda x: 2 * x, shaped(act.tanh, 50))
    )
    traces = []

    @jax.jit
    def run(f, x):
        traces.append(1)
        return f(x)

    for factor in (1.0, 1.1, 1.2):
        run(jax.tree.map(lambda x, k=factor: k * x, shaped(act.tanh, 50)), 0.5)
    assert len(traces) == 1


def test_a_sweep_of_numbers_and_their_gradient() -> None:
    f = shaped(act.tanh, 50)
    stacked = jax.tree.map(lambda x: jnp.asarray([x, 1.5 * x]), f)
    both = jax.vmap(lambda f: f(0.7))(stacked)
    np.testing.assert_allclose(both[0], f(0.7), rtol=1e-6)
    gradient = jax.grad(lambda f: f(0.7))(f)
    a, b = f.settings["input_scale"], f.settings["input_shift"]
    scale, shift = f.settings["output_scale"], f.settings["output_shift"]
    assert float(gradient.settings["output_scale"]) == pytest.approx(np.tanh(0.7 * a + b) + shift, rel=1e-4)
    assert float(gradient.settings["input_shift"]) == pytest.approx(scale / np.cosh(0.7 * a + b) ** 2, rel=1e-4)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtypes_are_kept_and_half_precision_is_evaluated_in_float32(dtype) -> None:
    f, x = shaped(act.tanh, 50), jnp.linspace(-3, 3, 101).astype(dtype)
    assert f(x).dtype == dtype
    np.testing.assert_array_equal(f(x), f(x.astype(jnp.float32)).astype(dtype))
    assert jnp.isnan(f(jnp.asarray(jnp.nan, dtype))) and f(1).dtype == f(1.0).dtype == jnp.float32


def mixture(x, weight):
    return jnp.tanh(x) + weight * jax.nn.softplus(x)


def numbers(weight, method) -> jax.Array:
    return jnp.stack([jnp.asarray(x, float) for x in jax.tree.leaves(shaped(bind(mixture, weight=weight), 50, method))])


@pytest.mark.parametrize("method", ["tat", "dks"])
def test_derivatives_in_a_number_of_the_function(method: str) -> None:
    around = [np.array([*shaped(bind(mixture, weight=w), 50, method).settings.values()]) for w in (1.69, 1.71)]
    found = jax.jit(jax.jacfwd(lambda w: numbers(w, method)))(1.7)
    np.testing.assert_allclose(found[:4], (around[1] - around[0]) / 0.02, rtol=2e-3)


def test_reverse_mode() -> None:
    around = [shaped(bind(mixture, weight=w), 50).settings["output_scale"] for w in (1.69, 1.71)]
    found = jax.grad(lambda w: shaped(bind(mixture, weight=w), 50).settings["output_scale"])(1.7)
    assert float(found) == pytest.approx((around[1] - around[0]) / 0.02, rel=2e-3)


def test_traced_numbers_give_what_known_ones_give() -> None:
    batched = jax.jit(jax.vmap(lambda w: numbers(w, "tat")))(jnp.array([1.0, 1.7]))
    np.testing.assert_allclose(batched, [numbers(1.0, "tat"), numbers(1.7, "tat")], rtol=1e-4)
    inside = jax.jit(lambda x: shaped(act.tanh, 50)(x))(0.4)  # nothing is traced but x
    assert float(inside) == pytest.approx(float(shaped(act.tanh, 50)(0.4)), rel=1e-6)


def test_traced_numbers_without_a_solution_give_nan() -> None:
    lines = jax.jit(lambda s: shaped(bind(act.leaky_relu, negative_slope=s), 50)(1.0))(0.3)
    assert jnp.isnan(lines)


def test_it_takes_less_than_a_second() -> None:
    def fresh(x):
        return x * jnp.tanh(x) + 0.3 * jnp.sin(x)

    began = time.process_time()
    shaped(fresh, 50)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (act.identity, "straight line"),
        (act.relu, r"f\(2x\) = 2f\(x\)"),
        (bind(act.leaky_relu, negative_slope=0.2), r"f\(2x\) = 2f\(x\)"),
        (jnp.abs, r"f\(2x\) = 2f\(x\)"),
        (act.binary_step, "no scale and shift"),
        (act.hardshrink, "no scale and shift"),
        (act.softmax, "constant"),
    ],
)
def test_what_cannot_be_shaped(fn, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"shaped: \w+ cannot be shaped for depth 50: .*{reason}.*; use shaped\(act"):
        shaped(fn, 50)


@pytest.mark.parametrize("depth", [0, 0.5, -1, float("inf"), float("nan"), True, "50", None])
def test_depths_that_are_none(depth) -> None:
    with pytest.raises(ValueError, match=r"shaped: depth=.*; give the number of activations"):
        shaped(act.tanh, depth)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="method='TAT'; give one of 'tat', 'dks'"):
        shaped(act.tanh, 50, method="TAT")
    with pytest.raises(TypeError, match=r"shaped: 'tanh' is not a function; give activations\.tanh"):
        shaped("tanh", 50)
    with pytest.raises(TypeError, match="shaped: swiglu is not elementwise: for a single number it raises"):
        shaped(act.swiglu, 50)
    with pytest.raises(TypeError, match=r"shaped: <lambda> is not elementwise: it maps a number to .*int32"):
        shaped(lambda x: jnp.round(x).astype(int), 50)
    with pytest.raises(TypeError, match="depth is traced"):
        jax.jit(lambda n: shaped(act.tanh, n)(1.0))(50)
