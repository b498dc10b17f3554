"""Every row under every transformation; dtypes; jit and eager bit for bit."""

import inspect
import pickle
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE, Activation
from jaxopt_lite.activations._laws import LAWS
from jaxopt_lite.bench._activation_accuracy import all_halves
from jaxopt_lite.bench._activation_truth import truth
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
    row, x = CATALOGUE[name], np.array([0.3, -1.7, 2.4, -0.9, 0.1, -0.1, 0.8, 0.02])
    true = truth(name, x, **row.settings, **row.initial)
    with double():

        @jax.jit
        def at(x: jax.Array) -> tuple:
            y, back = jax.vjp(row.probe, x)
            return y, back(jnp.ones_like(x))[0]

        for got, expected in zip(at(jnp.asarray(x)), true, strict=False):
            assert got.dtype == jnp.float64
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def arrays(jaxpr: Any) -> Iterator[Any]:
    """The types of all arrays of at least one axis that a program computes."""
    for equation in jaxpr.eqns:
        yield from (v.aval for v in equation.outvars if getattr(v.aval, "ndim", 0))
        inside = jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "jaxpr"))
        for inner in inside:
            if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                yield from arrays(getattr(inner, "jaxpr", inner))


@ROWS
def test_float32_programs_have_no_float64_array_under_x64(name: str) -> None:
    f = call(CATALOGUE[name])
    with double():
        x = jnp.ones((2, 8), jnp.float32)

        def both(x: jax.Array) -> tuple:
            y, back = jax.vjp(f, x)
            return back(y), jax.jvp(f, (x,), (x,))

        program = jax.make_jaxpr(both)(x)
        assert jnp.dtype("float64") not in {array.dtype for array in arrays(program.jaxpr)}


def test_results_that_are_finite_stay_so_where_a_product_overflows() -> None:
    largest = jnp.asarray([3.3e38, -3.3e38], jnp.bfloat16)
    np.testing.assert_array_equal(act.snake(largest, 2.0), largest)
    assert float(act.acon_c(jnp.inf, 1.2, -0.8)) == np.inf and float(act.acon_c(-jnp.inf, 1.2, -0.8)) == np.inf
    x = jnp.asarray([2.5e38, -2.5e38], jnp.bfloat16)
    np.testing.assert_allclose(np.asarray(act.acon_c(x, 1.2, -0.8), float), [3e38, 2e38], rtol=0.01)


def test_squareplus_without_a_bend_is_relu() -> None:
    x = jnp.asarray([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(act.squareplus(x, b=0.0), act.relu(x))
    np.testing.assert_array_equal(jax.vmap(jax.grad(lambda x: act.squareplus(x, b=0.0)))(x), [0.0, 0.5, 1.0])


# Casts apart, no line of the package distinguishes the two types: float16 takes a row for each way to keep arrays.
ONE_OF_EACH = {(row.kind, row.keeps): name for name, row in CATALOGUE.items()}
HALVES = [("bfloat16", name) for name in CATALOGUE] + [("float16", name) for name in ONE_OF_EACH.values()]


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(("dtype", "name"), HALVES)
def test_jit_equals_eager_bit_for_bit_in_half_precision(name: str, dtype: str) -> None:
    """At all numbers of the type; the compiled value, slope and curvature are those of one program."""
    f = CATALOGUE[name].probe
    x = jnp.asarray(all_halves(dtype))

    def slope(x: jax.Array) -> jax.Array:
        return jax.vjp(f, x)[1](jnp.ones_like(x))[0]

    def curvature(x: jax.Array) -> jax.Array:
        return jax.vjp(slope, x)[1](jnp.ones_like(x))[0]

    orders = (f, slope, curvature) if CATALOGUE[name].same_curvature else (f, slope)
    compiled = jax.jit(lambda x: [g(x) for g in orders])(x)
    for order, (g, y) in enumerate(zip(orders, compiled, strict=True)):
        bits = np.uint16 if order < 2 else y.dtype  # a curvature of 0 may have either sign
        a, b = (np.asarray(each).view(bits) for each in (g(x), y))
        np.testing.assert_array_equal(a, b, err_msg=f"order {order}")


def test_functions_pickle_and_are_hashable() -> None:
    for row in CATALOGUE.values():
        assert pickle.loads(pickle.dumps(row.function)) is row.function
        hash(row.function)


def numbers_of(row: Activation) -> dict[str, float]:
    """The settings of a row that are single numbers, with their values."""
    defaults = {name: p.default for name, p in inspect.signature(row.function).parameters.items()}
    values = {**defaults, **row.settings, **row.initial}
    return {name: value for name, value in values.items() if isinstance(value, float)}


@pytest.mark.parametrize("name", [name for name, row in CATALOGUE.items() if numbers_of(row)])
def test_mixed_second_derivatives_agree_at_kinks_too(name: str) -> None:
    row = CATALOGUE[name]
    start = jnp.asarray(list(numbers_of(row).values()))

    def f(point: jax.Array) -> jax.Array:
        return row.function(point[0], **dict(zip(numbers_of(row), point[1:], strict=True)))

    points = jnp.stack([jnp.concatenate([jnp.asarray([x]), start]) for x in {0.0, *row.kinks}])
    found = jax.jit(jax.vmap(jax.hessian(f)))(points)
    np.testing.assert_allclose(found, found.swapaxes(1, 2), rtol=1e-6)


@pytest.mark.parametrize("f", [act.elu, act.pelu])
def test_the_slope_of_elu_at_zero_moves_with_alpha(f) -> None:
    """As in jax.nn.elu: the slope at 0 is alpha."""
    for by_x_first in (jax.grad(jax.grad(f), 1), jax.grad(jax.grad(f, 1))):
        assert float(by_x_first(0.0, 1.5)) == 1.0
