"""Statistics against their formulas in float64, in and out of a compiled program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import diagnostics

SHAPES = [(6, 9), (6, 4, 5, 3)]


def cosines(a: np.ndarray) -> float:
    rows = a.reshape(len(a), -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [abs(rows[i] @ rows[j]) for i in range(len(a)) for j in range(len(a)) if i != j]
    return float(np.mean(pairs))


FORMULAS: dict[str, Any] = {
    "root_mean_square": lambda a: np.sqrt((a**2).mean()),
    "norm": lambda a: np.sqrt((a**2).sum()),
    "offset": lambda a: abs(a.mean()) / np.sqrt((a**2).mean()),
    "likeness": cosines,
}


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_statistics_equal_their_formulas(name: str, shape: tuple[int, ...], scale: float, rng: Any) -> None:
    a = (rng.normal(0.3, 1.0, shape) * scale).astype("float32")
    ours = getattr(diagnostics, name)
    expected = FORMULAS[name](a.astype(float))
    assert float(ours(jnp.asarray(a))) == pytest.approx(expected, rel=1e-5)
    assert float(jax.jit(ours)(jnp.asarray(a))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_dead_units_are_constant_and_without_slope(shape: tuple[int, ...], rng: Any) -> None:
    z = np.abs(rng.normal(size=shape)) * np.where(rng.random(shape) < 0.5, -1, 1)
    z[..., 0] = -np.abs(z[..., 0])  # dead
    z[..., 1] = 9.0  # constant, but it learns
    z[..., 2] = np.abs(z[..., 2]) + 7  # flat and not constant, as in a saturated unit that an earlier layer still moves
    slope = np.where((z > 0) & (np.arange(shape[-1]) != 2), 1.0, 0.0)
    share = diagnostics.dead_share(jnp.maximum(z, 0.0), jnp.asarray(slope))
    dead = [bool((slope[..., i] == 0).all() and np.ptp(np.maximum(z[..., i], 0)) == 0) for i in range(shape[-1])]
    assert dead[0] and float(share) == pytest.approx(np.mean(dead))


def test_flat_entries_are_counted_relative_to_the_largest_slope() -> None:
    slope = jnp.array([0.0, 0.0124, -0.0126, 0.25])
    assert float(diagnostics.flat_share(slope, 0.25)) == 0.5
    assert float(diagnostics.flat_share(slope)) == 0.75


@pytest.mark.parametrize("zeros, expected", [(2, 1.0), (1, 0.0)])
def test_likeness_of_examples_of_zeros(zeros: int, expected: float) -> None:
    assert float(diagnostics.likeness(jnp.ones((2, 3)).at[:zeros].set(0.0))) == expected


def test_offset_of_zeros_is_zero() -> None:
    assert float(diagnostics.offset(jnp.zeros(3))) == 0


def test_update_ratio_is_that_of_norms(rng: Any) -> None:
    update, weights = (jnp.asarray(rng.normal(size=(3, 4)), jnp.float32) for _ in range(2))
    expected = np.linalg.norm(update) / np.linalg.norm(weights)
    assert float(diagnostics.update_ratio(update, weights)) == pytest.approx(expected, rel=1e-5)
    assert float(diagnostics.update_ratio(update, jnp.zeros((3, 4)))) == np.inf
    assert np.isnan(float(diagnostics.update_ratio(jnp.zeros((3, 4)), jnp.zeros((3, 4)))))
