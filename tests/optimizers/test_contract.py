"""The eight points of the contract, for every row of the table."""

import dataclasses
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.optimizer_cases import CASES, Case
from tests.precision import double

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@pytest.fixture
def params() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"b": jnp.asarray(rng.normal(size=3), jnp.float32), "w": jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)}


def run(tx: Any, params: Any, steps: int = 4) -> Any:
    """The parameters after some steps on a quadratic; one entry never has a gradient."""
    state = tx.init(params)
    for k in range(steps):
        grads = jax.tree.map(lambda p, k=k: p * (1 + k) * (p > -10), params) | {"b": params["b"].at[0].set(0.0)}
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


@every_case
def test_is_an_optax_transformation(case: Case, params: Any) -> None:
    tx = case()
    init, update = tx
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    updates, _ = update(params, init(params), params, unknown_extra=1)
    chained = optax.chain(optax.identity(), tx)
    inside, _ = chained.update(params, chained.init(params), params)
    np.testing.assert_array_equal(inside["w"], updates["w"])


@every_case
def test_leaves_are_its_numbers(case: Case) -> None:
    tx = case(0.25)
    paths = {path[-1].name: leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tx)[0]}
    assert paths.pop("learning_rate") == 0.25
    assert all(isinstance(leaf, float) for leaf in paths.values())
    assert paths == {name: value for name, value in tx.settings.items() if name in paths}
    assert not {name for name, value in tx.settings.items() if isinstance(value, float)} - {*paths, "learning_rate"}


@every_case
def test_one_trace_for_all_settings_as_an_argument(case: Case, params: Any) -> None:
    traces = []

    @jax.jit
    def train(tx: Any, params: Any) -> Any:
        traces.append(1)
        return run(tx, params, 1)

    for learning_rate in (1, 0.1, np.float32(0.01), 1e-3):
        train(case(learning_rate), params)
    assert len(traces) == 1


@every_case
def test_vmap_is_the_loop(case: Case, params: Any) -> None:
    rates = [0.2, 0.05]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.float32(v) for v in x]), *map(case, rates))
    together = jax.jit(jax.vmap(run, in_axes=(0, None)))(stacked, params)
    for i, rate in enumerate(rates):
        alone = run(case(rate), params)
        np.testing.assert_allclose(together["w"][i], alone["w"], rtol=2e-6, atol=1e-6)


@every_case
def test_gradients_of_settings_agree_with_differences(case: Case, params: Any) -> None:
    with double():
        start = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params)

        @jax.jit
        def loss(tx: Any) -> Any:
            return sum(jnp.sum(jnp.sin(p)) for p in jax.tree.leaves(run(tx, start, 2)))

        tx = case(0.05)
        leaves, treedef = jax.tree.flatten(tx)
        slopes = jax.tree.leaves(jax.jit(jax.grad(loss))(tx))
        for i, (x, slope) in enumerate(zip(leaves, slopes, strict=True)):
            h = 1e-6 * max(abs(x), 1e-3)
            low = max(x - h, 0.0)
            up = jax.tree.unflatten(treedef, [*leaves[:i], x + h, *leaves[i + 1 :]])
            down = jax.tree.unflatten(treedef, [*leaves[:i], low, *leaves[i + 1 :]])
            difference = (loss(up) - loss(down)) / (x + h - low)
            np.testing.assert_allclose(slope, difference, rtol=2e-3, atol=1e-5, err_msg=str(i))


@every_case
def test_update_reads_the_state_alone(case: Case, params: Any) -> None:
    traces = []

    def step(update: Any, grads: Any, state: Any, params: Any) -> Any:
        traces.append(1)
        return update(grads, state, params)

    step = jax.jit(step, static_argnums=0)
    for rate in (0.1, 0.2, 0.3):
        tx = case(rate)
        updates, _ = step(tx.update, params, tx.init(params), params)
        expected, _ = tx.update(params, tx.init(params), params)
        np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-6)
    assert len(traces) == 1
    changed = opt.with_settings(case(0.1).init(params), learning_rate=0.3)
    assert float(opt.settings(changed)["learning_rate"]) == np.float32(0.3)
    np.testing.assert_array_equal(step(tx.update, params, changed, params)[0]["w"], updates["w"])
    assert len(traces) == 1


@every_case
def test_takes_a_schedule(case: Case, params: Any) -> None:
    falling = opt.exponential_decay(0.1, 1, 0.5)
    tx = case(falling)
    assert tx.settings["learning_rate"] == falling
    state, plain = tx.init(params), case(lambda count: 0.1 * 0.5**count)
    other = plain.init(params)
    for _ in range(3):
        updates, state = tx.update(params, state, params)
        expected, other = plain.update(params, other, params)
        np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-5)
    assert float(updates["w"][0, 0]) != 0


@every_case
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_state_never_changes_and_updates_keep_the_dtype(case: Case, params: Any, dtype: Any) -> None:
    params = jax.tree.map(lambda p: p.astype(dtype), params)
    tx = case(jnp.float32(0.1))
    state = tx.init(params)
    updates, after = jax.eval_shape(tx.update, params, state, params)
    assert jax.tree.map(lambda x: x.dtype, updates) == jax.tree.map(lambda x: x.dtype, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(after)] == [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
    assert not any(x.weak_type for x in jax.tree.leaves(after))


@every_case
def test_pickles_compares_and_prints(case: Case, params: Any) -> None:
    tx = case(0.125)
    again = pickle.loads(pickle.dumps(tx))
    assert again == tx and hash(again) == hash(tx) and again.update == tx.update
    assert tx == case(0.125) and tx != case(0.25) and tx != optax.sgd(0.125)
    assert eval(repr(tx), {name: getattr(opt, name) for name in opt.__all__}) == tx
    jax.tree.map(np.testing.assert_array_equal, again.init(params), tx.init(params))


def test_five_equal_optimizers_as_a_static_argument_trace_once(params: Any) -> None:
    traces = []

    def train(tx: Any, params: Any) -> Any:
        traces.append(1)
        return tx.update(params, tx.init(params), params)

    train = jax.jit(train, static_argnums=0)
    for _ in range(5):
        train(opt.adam(1e-2), params)
    assert len(traces) == 1


def test_unknown_objects_are_leaves_and_functions_are_structure() -> None:
    class Drawn:
        """What a sweep puts in the place of a number."""

    drawn = Drawn()
    tx = opt.sgd(drawn, momentum=drawn)
    assert jax.tree.leaves(tx) == [drawn, drawn]
    assert jax.tree.map(lambda _: 0.5, tx) == opt.sgd(0.5, momentum=0.5)
    assert jax.tree.leaves(opt.sgd(lambda count: 0.1)) == []
    with pytest.raises(TypeError, match=r"learning_rate is .*Drawn.*sample it before init"):
        tx.init(jnp.ones(2))


@dataclasses.dataclass
class Stepped:
    """A schedule, or a mask, that cannot be hashed and looks at what it is given."""

    value: float

    def __call__(self, given: Any) -> Any:
        return self.value if isinstance(given, dict) or given < 5 else 0.0


def test_python_code_of_the_user_sees_numbers_and_is_told_apart_from_another() -> None:
    p = jnp.ones(1)
    for make in (
        lambda v: opt.sgd(Stepped(v)),
        lambda v: opt.sgd(opt.join_schedules([Stepped(v), opt.constant_schedule(0.0)], [10])),
    ):
        steps = [tx.update(p, tx.init(p))[0] for tx in (make(0.1), make(0.5))]
        np.testing.assert_allclose(jnp.concatenate(steps), [-0.1, -0.5], rtol=1e-6)


def numeric(tx: Any) -> list[str]:
    """The settings of a transform that are numbers."""
    return [name for name, value in tx.settings.items() if isinstance(value, float)]


@every_case
def test_a_schedule_for_every_setting(case: Case, params: Any) -> None:
    for name in numeric(case()):
        end = 0.8 * case().settings[name] + 0.01
        schedule = opt.linear_schedule(case().settings[name], end, 1000)
        traces = []

        def step(update: Any, grads: Any, state: Any, params: Any, traces: list = traces) -> Any:
            traces.append(1)
            return update(grads, state, params)

        step = jax.jit(step, static_argnums=0)
        tx = case(**{name: schedule})
        # Lion chooses its calculation by whether b2 is a number; a plain array gives the one that a schedule has.
        by_hand = case(**{name: jnp.float32(case().settings[name])})
        state, other = tx.init(params), by_hand.init(params)
        for count in range(3):
            updates, state = step(tx.update, params, state, params)
            other = opt.with_settings(other, **{name: schedule(count)})
            expected, other = by_hand.update(params, other, params)
            np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-5, err_msg=name)
        assert len(traces) == 1, name


@every_case
def test_none_leaves(case: Case, params: Any) -> None:
    model = params | {"n": 3, "name": len}
    grads = params | {"n": None, "name": None}
    tx, alone = case(), case()
    state = tx.init(params | {"n": None, "name": None})
    updates, after = tx.update(grads, state, model)
    expected, _ = alone.update(params, alone.init(params), params)
    assert updates["n"] is None and updates["name"] is None
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-6)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert opt.apply_updates(model, updates)["n"] == 3


@every_case
def test_none_gradients_keep_parameters_and_moments(case: Case, params: Any) -> None:
    tx = case()
    _, state = tx.update(params, tx.init(params), params)
    updates, after = tx.update({"b": None, "w": 2 * params["w"]}, state, params)
    assert updates["b"] is None
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for name, tree in getattr(after, "moments", {}).items():
        np.testing.assert_array_equal(tree["b"], state.moments[name]["b"])
        assert not np.array_equal(tree["w"], state.moments[name]["w"])
    with pytest.raises(ValueError, match=r"\['w'\]: gradient missing"):
        tx.update({"b": None}, state, params)


# The formula divides by the square root of eps, so it has no derivative at 0.
NOT_DIFFERENTIABLE = {("adadelta", "eps")}


@every_case
def test_gradients_of_settings_at_zero(case: Case) -> None:
    with double():
        start = {"b": jnp.array([0.5, 0.0]), "w": jnp.array([1.0, -2.0, 3.0])}

        def of(value: Any, name: str) -> Any:
            tx = case(**({"learning_rate": 1e-3} | {name: value}))
            state, params = tx.init(start), start
            for k in range(3):
                grads = {"b": params["b"].at[1].set(0.0), "w": params["w"] * (1 + k) + 0.3}
                updates, state = tx.update(grads, state, params)
                params = opt.apply_updates(params, updates)
            return sum(jnp.sum(jnp.sin(p)) for p in jax.tree.leaves(params))

        of = jax.jit(jax.value_and_grad(of), static_argnums=1)
        h = 1e-8
        for name in numeric(case()):
            if (case.ours.__name__, name) not in NOT_DIFFERENTIABLE:
                (at, slope), (near, _), (far, _) = (of(value, name) for value in (0.0, h, 2 * h))
                difference = (-3 * at + 4 * near - far) / (2 * h)
                np.testing.assert_allclose(slope, difference, rtol=1e-3, atol=1e-5, err_msg=name)


@every_case
@pytest.mark.parametrize("gradient", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("parameter", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_updates_have_the_wider_dtype(case: Case, params: Any, parameter: Any, gradient: Any) -> None:
    with jax.numpy_dtype_promotion("standard"):
        wider = jnp.promote_types(parameter, gradient)
    with jax.numpy_dtype_promotion("strict"):
        tx = case(opt.constant_schedule(1e-3))
        params = jax.tree.map(lambda p: p.astype(parameter), params)
        grads = jax.tree.map(lambda p: p.astype(gradient), params)
        state = tx.init(params)
        updates, after = jax.eval_shape(tx.update, grads, state, params)
    assert {u.dtype for u in jax.tree.leaves(updates)} == {wider}
    assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in jax.tree.leaves(state)]


def test_a_step_below_the_range_of_the_gradients_dtype() -> None:
    params, grads = jnp.ones(2), jnp.ones(2, jnp.float16)
    tx = opt.adam(1e-8)
    np.testing.assert_allclose(tx.update(grads, tx.init(params), params)[0], -1e-8, rtol=1e-5)
