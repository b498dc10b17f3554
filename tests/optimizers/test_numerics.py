"""Step for step against the published formula in float64, against optax for every row of the table, and torch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
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


@pytest.mark.parametrize("b2", [0.0, 1e-3, 0.3])
def test_lion_with_a_small_b2(b2: float) -> None:
    grads, params = gradients(6), np.random.default_rng(7).normal(size=SIZE).astype(np.float32)
    exact, path = formula(Case(opt.lion, {"b2": b2}, None), params, grads, 0.1)
    for given in (b2, jnp.float32(b2), opt.constant_schedule(b2)):
        assert error(trajectory(opt.lion(0.1, b2=given), params, grads, path), exact) <= BOUND
    tx = opt.lion(0.1)
    changed = optax.GradientTransformation(lambda p: opt.with_settings(tx.init(p), b2=b2), tx.update)
    steps = trajectory(changed, params, grads, path)
    # A b2 below 1/4096 counts as 1/4096: signs differ where c is that close to 0, as after two zero gradients.
    assert np.mean(np.abs(steps - exact) > 1e-5) < 2e-2


# Our transform, the class of torch that it equals, and the settings of that class.
IN_TORCH: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "sgd": (opt.sgd(0.1), "SGD", {}),
    "momentum": (opt.sgd(0.1, momentum=0.9), "SGD", {"momentum": 0.9}),
    "nesterov": (opt.sgd(0.1, momentum=0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": (opt.adagrad(0.1, eps=0.0), "Adagrad", {"initial_accumulator_value": 0.1, "eps": 0.0}),
    "adadelta": (opt.adadelta(0.1), "Adadelta", {"rho": 0.9, "eps": 1e-6}),
    "rmsprop": (opt.rmsprop(0.1, eps_in_sqrt=False), "RMSprop", {"alpha": 0.9}),
    "rmsprop momentum": (
        opt.rmsprop(0.1, momentum=0.8, eps_in_sqrt=False),
        "RMSprop",
        {"alpha": 0.9, "momentum": 0.8},
    ),
    "adam": (opt.adam(0.1), "Adam", {}),
    "adamw": (opt.adamw(0.1, weight_decay=1e-2), "AdamW", {"weight_decay": 1e-2}),
    "adamax": (opt.adamax(0.1), "Adamax", {}),
}


@pytest.mark.parametrize("name", IN_TORCH)
def test_equals_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, kind, settings = IN_TORCH[name]
    grads = gradients(4)
    p = torch.nn.Parameter(torch.from_numpy(np.random.default_rng(5).normal(size=SIZE)))
    theirs, path, steps = getattr(torch.optim, kind)([p], lr=0.1, **settings), [], []
    for g in grads:
        with torch.no_grad():
            p.copy_(p.float())
        path.append(p.detach().numpy().copy())
        p.grad = torch.from_numpy(g.astype(np.float64))
        theirs.step()
        steps.append(p.detach().numpy() - path[-1])
    start = path[0].astype(np.float32)
    assert error(trajectory(ours, start, grads, np.stack(path).astype(np.float32)), np.stack(steps)) <= BOUND
