"""With what users have: optax, TrainState, checkpoints, optax states, another optimizer in mid-run."""

from typing import Any

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState

from jaxopt_lite import optimizers as opt
from tests.optimizers.optimizer_cases import CASES, Case

PARAMS = {"b": jnp.linspace(-1, 1, 3), "w": jnp.cos(jnp.arange(6.0)).reshape(2, 3)}
TRANSFORMS: dict[str, Any] = {
    "adam": opt.adam(0.1),
    "schedule": opt.sgd(opt.exponential_decay(0.1, 3, 0.5, staircase=True), momentum=0.9),
    "pieces": opt.lion(opt.join_schedules([opt.linear_schedule(0, 0.1, 3), opt.constant_schedule(0.1)], [3])),
    "chain": opt.chain(opt.clip_by_global_norm(1.0), optax.scale(2.0), opt.adamw(0.1)),
    "lift": opt.lift(optax.lamb)(0.1, weight_decay=0.1),
    "accumulate": opt.accumulate(opt.adam(0.1), 2),
    "guard": opt.guard(opt.rmsprop(0.1), max_spike=10.0, loss_scale=2.0),
    "partition": opt.partition_by_path({"b": opt.sgd(0.1), ".*": opt.adam(0.1)}),
    "average": opt.average(opt.adam(0.1), 0.9),
    "stochastic_rounding": opt.stochastic_rounding(opt.adam(0.1)),
    "split_master": opt.split_master(opt.adam(0.1)),
    "compress": opt.compress(opt.adam(0.1), min_size=4),
}


def steps(tx: Any, state: Any, n: int = 2) -> Any:
    for _ in range(n):
        updates, state = tx.update(PARAMS, state, PARAMS)
    return updates, state


def same(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("tx", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_msgpack_round_trip(tx: Any) -> None:
    _, state = steps(tx, tx.init(PARAMS))
    data = flax.serialization.to_bytes(state)
    again = jax.tree.map(jnp.asarray, flax.serialization.from_bytes(tx.init(PARAMS), data))
    same(steps(tx, again)[0], steps(tx, state)[0])


@pytest.mark.parametrize("name", ["adam", "schedule", "chain", "guard", "compress"])
def test_orbax_round_trip(name: str, tmp_path: Any) -> None:
    checkpoint = pytest.importorskip("orbax.checkpoint")
    tx = TRANSFORMS[name]
    _, state = steps(tx, tx.init(PARAMS))
    state = opt.with_settings(state, **{next(n for n in opt.settings(state) if n.endswith("rate")): 0.05})
    with checkpoint.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", state)
    with checkpoint.StandardCheckpointer() as saver:
        again = saver.restore(tmp_path / "state", state)
    same(again, state)
    same(steps(tx, again)[0], steps(tx, state)[0])


def test_linen_train_state() -> None:
    model = nn.Dense(2)
    x = jnp.ones((3, 4))
    params = model.init(jax.random.key(0), x)
    loss = lambda p: (model.apply(p, x) ** 2).sum()  # noqa: E731
    traces = []

    @jax.jit
    def step(state: Any) -> Any:
        traces.append(1)
        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    ends = []
    for tx in (opt.adamw(0.1), optax.adamw(0.1)):
        state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)
        for _ in range(3):
            state = step(state)
        ends.append(state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *ends)
    assert len(traces) == 2


def test_inside_optax_wrappers() -> None:
    tx = opt.adam(0.1)
    expected, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    wrapped = {
        "MultiSteps": optax.MultiSteps(tx, 1).gradient_transformation(),
        "partition": optax.partition({"a": tx, "b": opt.sgd(0.1)}, lambda p: jax.tree.map(lambda _: "a", p)),
        "apply_if_finite": optax.apply_if_finite(tx, 2),
        "named_chain": optax.named_chain(("one", tx)),
        "masked": optax.masked(tx, {"b": True, "w": True}),
        "flatten": optax.flatten(tx),
    }
    for name, other in wrapped.items():
        updates, _ = other.update(PARAMS, other.init(PARAMS), PARAMS)
        for key in PARAMS:
            np.testing.assert_allclose(updates[key], expected[key], rtol=1e-6, err_msg=name)
    state = tx.init(PARAMS)
    assert float(optax.tree_utils.tree_get(state, "learning_rate")) == np.float32(0.1)
    doubled = optax.tree_utils.tree_map_params(tx, lambda x: x + 1, state)
    np.testing.assert_array_equal(doubled.moments["nu"]["w"], 1.0)
    assert doubled.settings["b1"] == state.settings["b1"] and int(doubled.count) == 0


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_continues_from_an_optax_state(case: Case) -> None:
    ours, theirs = case(0.1), case.reference(0.1)
    expected, state = steps(theirs, steps(theirs, theirs.init(PARAMS), 3)[1], 1)
    _, state = steps(theirs, theirs.init(PARAMS), 3)
    updates, _ = ours.update(PARAMS, opt.from_optax(ours, state, PARAMS), PARAMS)
    if case.ours not in (opt.rmsprop,) or not case.settings.get("bias_correction"):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), updates, expected)


def test_from_optax_with_chains_settings_and_lift() -> None:
    injected = optax.inject_hyperparams(optax.adam)(learning_rate=0.3)
    state = opt.from_optax(opt.adam(0.1), steps(injected, injected.init(PARAMS))[1], PARAMS)
    assert float(opt.settings(state)["learning_rate"]) == pytest.approx(0.3) and int(state.count) == 2
    lifted, plain = opt.lift(optax.lamb)(0.1), optax.lamb(0.1)
    state = opt.from_optax(lifted, steps(plain, plain.init(PARAMS))[1], PARAMS)
    same(state.inner, steps(plain, plain.init(PARAMS))[1])
    chained, plain = opt.chain(opt.clip(9.0), opt.adam(0.1)), optax.chain(optax.clip(9.0), optax.adam(0.1))
    state = opt.from_optax(chained, steps(plain, plain.init(PARAMS))[1], PARAMS)
    assert int(state[1].count) == 2
    with pytest.raises(ValueError, match="adam keeps 'mu', which the optax state does not have"):
        opt.from_optax(opt.adam(0.1), optax.sgd(0.1).init(PARAMS), PARAMS)
    with pytest.raises(ValueError, match="from_optax: lamb needs the state"):
        opt.from_optax(lifted, optax.sgd(0.1).init(PARAMS), PARAMS)


def test_swap_in_mid_run() -> None:
    _, state = steps(opt.adam(0.1), opt.adam(0.1).init(PARAMS), 5)
    same(steps(opt.adam(0.1), opt.swap(opt.adam(0.1), state, PARAMS)), steps(opt.adam(0.1), state))
    lion = opt.swap(opt.lion(0.01), state, PARAMS)
    same(lion.moments["mu"], state.moments["mu"])
    assert int(lion.count) == 5 and float(lion.settings["learning_rate"]) == pytest.approx(0.01)
    fresh = opt.swap(opt.amsgrad(0.1), state, PARAMS)
    assert int(fresh.count) == 0 and not np.any(fresh.moments["mu"]["w"])
    guarded = opt.swap(opt.guard(opt.nadam(0.1)), state, PARAMS)
    same(guarded.inner.moments, state.moments)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_serves_as_an_optax_optimizer(case: Case) -> None:
    """What optax's own tests demand of each of its optimizers, besides the numbers."""
    tx = case(0.1)
    state, waiting = tx.init(PARAMS), optax.MultiSteps(tx, 4)

    @jax.jit
    def steps(state: Any, waiting_state: Any) -> Any:
        extra = {"an_argument_of_another_transform": 1}
        still, _ = waiting.update(PARAMS, waiting_state, PARAMS)
        return tx.update(PARAMS, state, PARAMS), tx.update(PARAMS, state, PARAMS, **extra)[0], still

    (expected, after), updates, still = steps(state, waiting.init(PARAMS))
    same(updates, expected)
    same(optax.tree_utils.tree_map_params(tx, lambda x: x, after), after)
    # The state keeps its shapes and dtypes, or a condition of unequal branches would raise.
    jax.eval_shape(lambda s: jax.lax.cond(s.count > 0, lambda: s, lambda: tx.update(PARAMS, s, PARAMS)[1]), state)
    same(still, jax.tree.map(jnp.zeros_like, PARAMS))


def test_update_takes_its_numbers_from_the_state() -> None:
    state = opt.sgd(0.1).init(PARAMS)
    same(opt.sgd(0.5).update(PARAMS, state)[0], opt.sgd(0.1).update(PARAMS, state)[0])
    changed = opt.with_settings(state, learning_rate=0.5)
    same(opt.sgd(0.1).update(PARAMS, changed)[0], opt.sgd(0.5).update(PARAMS, opt.sgd(0.5).init(PARAMS))[0])
