"""Schedules: equal to optax's step by step, data through every transformation, and checked at the call."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.precision import double

ONCE = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 5, "decay_steps": 20}
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "constant": ("constant_schedule", (0.3,), {}),
    "linear": ("linear_schedule", (0.3, 0.1, 20, 7), {}),
    "polynomial": ("polynomial_schedule", (0.3, 0.1, 3, 20, 7), {}),
    "exponential": ("exponential_decay", (0.3, 10, 0.5), {"transition_begin": 3}),
    "exponential staircase": ("exponential_decay", (0.3, 10, 0.5), {"staircase": True, "end_value": 0.1}),
    "exponential rising": ("exponential_decay", (0.3, 10, 1.5), {"end_value": 0.6}),
    "cosine": ("cosine_decay_schedule", (0.3, 30), {"alpha": 0.1, "exponent": 2.0}),
    "warm-up cosine": ("warmup_cosine_decay_schedule", (0.0, 0.3, 10, 40), {"end_value": 0.01}),
    "no warm-up cosine": ("warmup_cosine_decay_schedule", (0.1, 0.3, 0, 40), {"exponent": 1.5}),
    "warm-up constant": ("warmup_constant_schedule", (0.0, 0.3, 10), {}),
    "warm-up exponential": ("warmup_exponential_decay_schedule", (0.0, 0.3, 10, 5, 0.7), {"end_value": 0.05}),
    "cosine one-cycle": ("cosine_onecycle_schedule", (40, 0.3), {}),
    "linear one-cycle": ("linear_onecycle_schedule", (40, 0.3), {"div_factor": 10.0}),
    "piecewise": ("piecewise_constant_schedule", (0.3, {30: 0.5, 10: 0.1}), {}),
    "piecewise none": ("piecewise_constant_schedule", (0.3,), {}),
    "piecewise linear": ("piecewise_interpolate_schedule", ("linear", 0.3, {10: 0.1, 30: 2.0}), {}),
    "piecewise cosine": ("piecewise_interpolate_schedule", ("cosine", 0.3, {10: 0.1, 30: 2.0}), {}),
    "restarts": ("sgdr_schedule", ([ONCE, {**ONCE, "peak_value": 0.5}],), {}),
}
OWN: dict[str, Any] = {
    "inverse root": opt.inverse_sqrt_schedule(0.0, 0.3, 10),
    "stable": opt.warmup_stable_decay_schedule(0.0, 0.3, 10, 20, 10, 0.01),
    "joined": opt.join_schedules([opt.linear_schedule(0.0, 0.3, 10), opt.exponential_decay(0.3, 5, 0.5)], [10]),
}
SCHEDULES = {name: getattr(opt, call[0])(*call[1], **call[2]) for name, call in CALLS.items()} | OWN
COUNTS = jnp.arange(50)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_equals_optax(call: Any) -> None:
    name, args, kwargs = call
    ours, theirs = getattr(opt, name)(*args, **kwargs), getattr(optax, name)(*args, **kwargs)
    expected = np.array([theirs(int(t)) for t in COUNTS])
    np.testing.assert_allclose(np.broadcast_to(jax.vmap(ours)(COUNTS), 50), expected, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_is_data(schedule: Any) -> None:
    leaves = jax.tree.leaves(schedule)
    assert leaves and all(isinstance(leaf, float) for leaf in leaves)
    traces = []

    @jax.jit
    def values(schedule: Any) -> Any:
        traces.append(1)
        return jax.vmap(lambda t: jnp.asarray(schedule(t), float))(COUNTS)

    direct = [float(schedule(int(t))) for t in COUNTS]
    np.testing.assert_allclose(values(schedule), direct, rtol=1e-5, atol=1e-7)
    values(jax.tree.map(lambda x: x * 1.5, schedule))
    assert len(traces) == 1
    assert pickle.loads(pickle.dumps(schedule)) == schedule != jax.tree.map(lambda x: x + 1, schedule)
    tx = opt.sgd(schedule)
    assert jax.tree.leaves(tx) == leaves and hash(tx) == hash(opt.sgd(schedule))
    state = tx.init(jnp.ones(1))
    for t in range(3):
        updates, state = tx.update(jnp.ones(1), state)
        np.testing.assert_allclose(updates, -direct[t], rtol=1e-5, atol=1e-7)


def test_slopes_agree_with_differences() -> None:
    with double():
        for name, schedule in SCHEDULES.items():
            leaves, treedef = jax.tree.flatten(schedule)
            slopes = jax.tree.leaves(jax.grad(lambda s: jnp.asarray(s(13), float))(schedule))
            for i, (x, slope) in enumerate(zip(leaves, slopes, strict=True)):
                up = jax.tree.unflatten(treedef, [*leaves[:i], x + 1e-6, *leaves[i + 1 :]])
                np.testing.assert_allclose(slope, (up(13) - schedule(13)) / 1e-6, rtol=1e-3, atol=1e-4, err_msg=name)


def test_own_shapes() -> None:
    values = jax.vmap(SCHEDULES["inverse root"])(COUNTS)
    np.testing.assert_allclose(values[5], 0.15, rtol=1e-6)
    np.testing.assert_allclose(values[40], 0.15, rtol=1e-6)
    values = jax.vmap(SCHEDULES["stable"])(COUNTS)
    np.testing.assert_allclose(values[jnp.array([5, 10, 29, 35, 49])], [0.15, 0.3, 0.3, 0.155, 0.01], rtol=1e-5)


def test_a_plain_function_inside_is_structure() -> None:
    joined = opt.join_schedules([optax.constant_schedule(0.5), opt.constant_schedule(0.25)], [3])
    assert jax.tree.leaves(joined) == [0.25, 3.0]
    assert [float(joined(t)) for t in (0, 2, 3)] == [0.5, 0.5, 0.25]


WRONG: dict[str, tuple[Any, str]] = {
    "boundaries": (lambda: opt.join_schedules([opt.constant_schedule(1.0)], [3]), "1 schedules and 1 boundaries"),
    "shape": (lambda: opt.piecewise_interpolate_schedule("square", 1.0), "give 'linear' or 'cosine'"),
    "scale": (lambda: opt.piecewise_constant_schedule(1.0, {3: -1.0}), "scale -1 is negative"),
    "steps": (lambda: opt.cosine_decay_schedule(1.0, -3), "decay_steps=-3 must be above 0"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments(wrong: Any) -> None:
    with pytest.raises(ValueError, match=wrong[1]):
        wrong[0]()
