"""Step for step against the published formula in float64 and against optax, for every row of the table."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.optimizers.formulas import Formula
from tests.optimizers.optimizer_cases import CASES, Case

STEPS, SIZE, BOUND = 50, 64, 2e-6


def gradients(seed: int = 0) -> np.ndarray:
    """Steps of gradients whose scale wanders from 1e-4 to 1; some are exactly zero, and one entry always is."""
    rng = np.random.default_rng(seed)
    grads = rng.normal(size=(STEPS, SIZE)) * 10 ** rng.uniform(-4, 0, size=(STEPS, 1))
    grads[rng.random((STEPS, SIZE)) < 0.1] = 0
    grads[:, 0] = 0
    return grads.astype(np.float32)


def trajectory(tx: Any, params: np.ndarray, grads: np.ndarray, path: np.ndarray) -> np.ndarray:
    """All updates, with the parameters given at each step: the rule alone is under test."""

    def one(state: Any, now: Any) -> Any:
        g, p = now
        updates, state = tx.update(g, state, p)
        return state, updates

    return np.asarray(jax.lax.scan(one, tx.init(jnp.asarray(params)), (jnp.asarray(grads), jnp.asarray(path)))[1])


def formula(case: Case, params: np.ndarray, grads: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The updates by the formula, and the float32 parameters that stood before each."""
    reference = Formula(case.ours.__name__, rate, params, **case.settings)
    steps, path = [], []
    for g in grads:
        reference.p = reference.p.astype(np.float32).astype(np.float64)
        path.append(reference.p.astype(np.float32))
        steps.append(reference.step(g))
    return np.stack(steps), np.stack(path)


def error(ours: np.ndarray, exact: np.ndarray) -> float:
    """The largest difference, as a share of each entry's running maximum."""
    scale = np.maximum.accumulate(np.abs(exact), axis=0)
    return float(np.max(np.abs(ours - exact) / np.where(scale > 0, scale, 1.0)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equals_the_published_formula(case: Case) -> None:
    grads, params = gradients(), np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
    exact, path = formula(case, params, grads, 0.1)
    assert error(trajectory(case(0.1), params, grads, path), exact) <= BOUND


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equals_optax(case: Case) -> None:
    grads, params = gradients(2), np.random.default_rng(3).normal(size=SIZE).astype(np.float32)
    _, path = formula(case, params, grads, 0.1)
    reference = trajectory(case.reference(0.1), params, grads, path)
    # Optax itself is 3e-6 to 1e-5 from the formula: it loses digits in 1 − bᵗ.
    assert error(trajectory(case(0.1), params, grads, path), reference) <= 2e-5
