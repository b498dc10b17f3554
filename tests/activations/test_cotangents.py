"""Infinite and NaN cotangents: zero where the function is flat, as a select gives and a product does not."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_truth import truth

X = np.unique([*np.linspace(-8.0, 8.0, 33), -0.51, 0.49])


def flat(name: str) -> np.ndarray:
    """Where the function is constant on an interval, not only at a turning point."""
    row = CATALOGUE[name]
    _, slope, curvature = truth(name, X, **row.settings, **row.initial)
    still = (slope == 0) & (curvature == 0)
    beside = np.concatenate([[False], still[:-1]]) | np.concatenate([still[1:], [False]])
    return still & beside & ~np.isin(X, row.kinks)


FLAT = {name: flat(name) for name in CATALOGUE}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [n for n, row in CATALOGUE.items() if row.kind != "axis" and FLAT[n].any()])
def test_a_flat_function_passes_no_cotangent_however_large(name: str, dtype: str) -> None:
    f, x = CATALOGUE[name].probe, jnp.asarray(X, dtype)
    both = jax.jit(lambda bad: (jax.vjp(f, x)[1](bad)[0], jax.jvp(f, (x,), (bad,))[1]))
    for bad in (np.inf, -np.inf, np.nan):
        for got in both(jnp.full_like(x, bad)):
            np.testing.assert_array_equal(got[FLAT[name]], 0.0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [n for n in CATALOGUE if hasattr(jax.nn, n)])
def test_an_infinite_cotangent_gives_a_number_wherever_jax_nn_gives_one(name: str, dtype: str) -> None:
    x = jnp.asarray(X[: len(X) // 2 * 2], dtype)

    @jax.jit
    def gradients(x: jax.Array) -> list[jax.Array]:
        pairs = [jax.vjp(f, x) for f in (getattr(jax.nn, name), CATALOGUE[name].function)]
        return [back(jnp.full_like(y, jnp.inf))[0] for y, back in pairs]

    theirs, ours = (np.asarray(gradient, np.float32) for gradient in gradients(x))
    known = ~np.isnan(theirs)
    np.testing.assert_array_equal(ours[known], theirs[known])


@pytest.mark.parametrize("cotangent", [[jnp.inf, 1.0], [1.0, -jnp.inf], [jnp.nan, 1.0]])
def test_an_infinite_cotangent_of_one_entry_reaches_log_softmax_as_in_jax_nn(cotangent: list[float]) -> None:
    x = jnp.asarray([1.0, 5.0])
    ours, theirs = (jax.vjp(f, x)[1](jnp.asarray(cotangent))[0] for f in (act.log_softmax, jax.nn.log_softmax))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "setting", "flat"),
    [
        ("leaky_relu", "negative_slope", 2.0),
        ("prelu", "negative_slope", 2.0),
        ("elu", "alpha", 2.0),
        ("celu", "alpha", 2.0),
        ("threshold", "value", 2.0),
        ("threshold", "threshold", 2.0),
        ("softshrink", "lambd", 0.25),
        ("hardshrink", "lambd", 2.0),
        ("srelu", "left_slope", 0.5),
        ("srelu", "right_threshold", 0.5),
    ],
)
def test_a_setting_without_influence_gets_no_cotangent_however_large(name: str, setting: str, flat: float) -> None:
    row = CATALOGUE[name]
    start = jnp.asarray({**row.settings, **row.initial, "negative_slope": 0.1, "alpha": 1.0, "lambd": 0.5}[setting])
    f = partial(row.function, jnp.asarray(flat))
    _, back = jax.vjp(lambda s: f(**{**row.settings, setting: s}), start)
    assert float(back(jnp.asarray(jnp.inf))[0]) == 0.0


def test_the_square_root_of_a_rectifier_has_the_gradient_of_jax_nn() -> None:
    x = jnp.array([-1.0, 2.0])
    for outer in (jnp.sqrt, jnp.log):
        np.testing.assert_array_equal(
            *(jax.grad(lambda x, f=f, outer=outer: outer(f(x)).sum())(x) for f in (act.relu, jax.nn.relu))
        )
