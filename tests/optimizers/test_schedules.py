"""Schedules: equal to optax's step by step, data through every transformation, and checked at the call."""

import dataclasses
import functools
import pickle
from typing import Any, NamedTuple

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
# 0.58·50 is 29 in float32 and below 29 in float64.
CORNER = ("linear_onecycle_schedule", (50, 0.3), {"pct_start": 0.58})
OWN: dict[str, Any] = {
    "inverse root": opt.inverse_sqrt_schedule(0.0, 0.3, 10),
    "stable": opt.warmup_stable_decay_schedule(0.0, 0.3, 10, 20, 10, 0.01),
    "joined": opt.join_schedules([opt.linear_schedule(0.0, 0.3, 10), opt.exponential_decay(0.3, 5, 0.5)], [10]),
}
SCHEDULES = {name: getattr(opt, call[0])(*call[1], **call[2]) for name, call in CALLS.items()} | OWN
COUNTS = jnp.arange(50)


@pytest.mark.parametrize("call", [*CALLS.values(), CORNER], ids=[*CALLS.keys(), "linear one-cycle corner"])
def test_equals_optax(call: Any) -> None:
    name, args, kwargs = call
    ours, theirs = getattr(opt, name)(*args, **kwargs), getattr(optax, name)(*args, **kwargs)
    found, expected = jax.jit(lambda t: [jnp.broadcast_to(jax.vmap(f)(t), 50) for f in (ours, theirs)])(COUNTS)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_is_data(schedule: Any) -> None:
    leaves = jax.tree.leaves(schedule)
    assert leaves and all(isinstance(leaf, float) for leaf in leaves)
    traces = []

    @jax.jit
    def values(schedule: Any) -> Any:
        traces.append(1)
        return jax.vmap(lambda t: jnp.asarray(schedule(t), float))(COUNTS)

    direct = {t: float(schedule(t)) for t in (0, 1, 2, 5, 10, 11, 20, 29, 30, 40, 49)}
    np.testing.assert_allclose(values(schedule)[np.array([*direct])], [*direct.values()], rtol=1e-5, atol=1e-7)
    values(jax.tree.map(lambda x: x * 1.5, schedule))
    assert len(traces) == 1
    assert pickle.loads(pickle.dumps(schedule)) == schedule != jax.tree.map(lambda x: x + 1, schedule)
    tx = opt.sgd(schedule)
    assert jax.tree.leaves(tx) == leaves and hash(tx) == hash(opt.sgd(schedule))
    state = tx.init(jnp.ones(1))
    for t in range(3):
        updates, state = tx.update(jnp.ones(1), state)
        np.testing.assert_allclose(updates, -direct[t], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_equality(schedule: Any) -> None:
    for others in (SCHEDULES, {name: as_arrays(other) for name, other in SCHEDULES.items()}):
        for name, other in others.items():
            equal = schedule is SCHEDULES[name] and others is SCHEDULES
            assert (schedule == other) is equal and (schedule != other) is not equal
    arrays = as_arrays(schedule)
    assert arrays == as_arrays(schedule) and not arrays != as_arrays(schedule)  # noqa: SIM202
    assert arrays != jax.tree.map(lambda x: x + 1, arrays)
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), arrays)
    assert stacked == jax.tree.map(lambda x: jnp.stack([x, x]), arrays) != arrays
    assert schedule not in (None, 0.3, tuple(schedule))


def as_arrays(schedule: Any) -> Any:
    return jax.tree.map(jnp.float32, schedule)


def test_schedules_of_equal_numbers_differ_by_their_rule() -> None:
    constant, root = opt.warmup_constant_schedule(0.0, 0.3, 10), opt.inverse_sqrt_schedule(0.0, 0.3, 10)
    assert constant != root and not constant == root  # noqa: SIM201


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_prints_as_it_is_written(schedule: Any) -> None:
    assert eval(repr(schedule), {name: getattr(opt, name) for name in opt.__all__}) == schedule


def test_corners_of_one_cycle_are_those_of_optax() -> None:
    """They follow from the leaves, in float32 as the state has them, and optax computes them in float64."""
    shares = [i / 100 for i in range(1, 101)]
    for steps in (7, 10, 40, 50, 100, 365, 1000, 12345, 100_000):
        schedules = [opt.linear_onecycle_schedule(steps, 1.0, share, share) for share in shares]
        schedules += [opt.cosine_onecycle_schedule(steps, 1.0, share) for share in shares]
        starts = np.array([schedule.pct_start for schedule in schedules], np.float32)
        np.testing.assert_array_equal(np.floor(starts * np.float32(steps)), [int(s * steps) for s in shares] * 2)
        np.testing.assert_allclose(starts, shares * 2, rtol=3e-7)
        np.testing.assert_array_equal(starts[:100], [np.float32(schedule.pct_final) for schedule in schedules[:100]])


class Halving(NamedTuple):
    """A schedule of a user's: a NamedTuple with a call."""

    init_value: Any
    every: Any

    def __call__(self, count: Any) -> Any:
        return self.init_value * 0.5 ** jnp.floor(jnp.asarray(count, float) / self.every)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["value"], meta_fields=["name"])
@dataclasses.dataclass(frozen=True)
class Named:
    """A schedule of a user's with a static field."""

    value: Any
    name: str

    def __call__(self, count: Any) -> Any:
        return self.value / (1.0 + count)


@pytest.mark.parametrize("schedule, leaves", [(Halving(0.8, 2.0), [0.8, 2.0]), (Named(0.8, "mine"), [0.8])])
def test_users_schedules_are_data(schedule: Any, leaves: Any) -> None:
    tx = opt.adam(schedule, eps=Halving(1e-8, 100.0))
    assert jax.tree.leaves(opt.sgd(schedule)) == leaves and tx == opt.adam(schedule, eps=Halving(1e-8, 100.0))
    joined = opt.join_schedules([schedule, opt.constant_schedule(0.3)], [4])
    assert jax.tree.leaves(joined) == [*leaves, 0.3, 4.0]
    traces = []

    @jax.jit
    def update(state: Any) -> Any:
        traces.append(1)
        return tx.update(jnp.ones(2), state)

    for scale in (1.0, 2.0):
        now = jax.tree.map(lambda x, s=scale: x * s, schedule)
        state = opt.with_settings(tx.init(jnp.zeros(2)), learning_rate=now)
        for t in range(3):
            updates, state = update(state)
            np.testing.assert_allclose(updates, -float(now(t)), rtol=1e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_works_under_strict_promotion(schedule: Any) -> None:
    expected = jnp.asarray(schedule(13), jnp.float32)
    with jax.numpy_dtype_promotion("strict"):
        value = jax.jit(lambda s, t: s(t))(as_arrays(schedule), jnp.int32(13))
    assert value.dtype == jnp.float32 and value.shape == ()
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)


def test_slopes_agree_with_differences() -> None:
    with double():
        for name, schedule in SCHEDULES.items():
            leaves, treedef = jax.tree.flatten(schedule)
            at = jax.jit(jax.value_and_grad(lambda x, t=treedef: jnp.asarray(t.unflatten(list(x))(13), float)))
            value, slopes = at(np.array(leaves))
            for i, slope in enumerate(slopes):
                above, _ = at(np.array(leaves) + 1e-6 * (np.arange(len(leaves)) == i))
                np.testing.assert_allclose(slope, (above - value) / 1e-6, rtol=1e-3, atol=1e-4, err_msg=name)


ROOTS = {
    "polynomial root": opt.polynomial_schedule(0.3, 0.1, 0.5, 20),
    "cosine root": opt.cosine_decay_schedule(0.3, 30, exponent=0.5),
    "warm-up cosine root": opt.warmup_cosine_decay_schedule(0.0, 0.3, 10, 40, exponent=0.5),
}


@pytest.mark.parametrize("schedule", (SCHEDULES | ROOTS).values(), ids=(SCHEDULES | ROOTS).keys())
def test_slopes_are_finite_at_the_ends(schedule: Any) -> None:
    """After the last step a power of the remaining share is 0, and its derivative by the share may be infinite."""
    slope = jax.jit(jax.grad(lambda s, t: jnp.asarray(s(t), float)))
    for count in (0, 10, 40, 1000):
        assert all(map(np.isfinite, jax.tree.leaves(slope(as_arrays(schedule), count)))), count


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
    "order": (
        lambda: opt.join_schedules([opt.constant_schedule(1.0)] * 3, [5, 2]),
        r"boundaries\[1\]=2 is below boundaries\[0\]=5",
    ),
    "share": (lambda: opt.cosine_onecycle_schedule(10, 1.0, 1.5), r"pct_start=1.5 .* must be in \[0, 1\]"),
    "corners": (lambda: opt.linear_onecycle_schedule(10, 1.0, 0.9, 0.3), "pct_final=0.3 is below pct_start=0.9"),
    "infinite": (lambda: opt.linear_schedule(float("inf"), 0, 3), "init_value=inf is not finite"),
    "no rounds": (lambda: opt.sgdr_schedule([]), "given no rounds"),
    "rate": (lambda: opt.exponential_decay(1.0, 10, 0.0), "decay_rate=0 must be above 0"),
    "warm-up": (lambda: opt.warmup_constant_schedule(0.0, 1.0, -1), "warmup_steps=-1 must not be negative"),
    "begin": (lambda: opt.linear_schedule(0.0, 1.0, 10, -1), "transition_begin=-1 must not be negative"),
    "steps": (lambda: opt.cosine_decay_schedule(1.0, -3), "decay_steps=-3 must be above 0"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments(wrong: Any) -> None:
    with pytest.raises(ValueError, match=wrong[1]):
        wrong[0]()


@pytest.mark.parametrize("value", [None, True, "1", [1.0, 2.0], opt.constant_schedule(1.0), abs], ids=repr)
def test_what_is_no_number(value: Any) -> None:
    for make in (lambda x: opt.linear_schedule(x, 0.0, 10), lambda x: opt.piecewise_constant_schedule(1.0, {5: x})):
        with pytest.raises(TypeError, match=r"linear_schedule: init_value=|piecewise_constant_schedule: scales\[0\]="):
            make(value)
