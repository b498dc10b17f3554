"""The laws of `check` for every row of the table, and what does not depend on the row."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers._laws import LAWS
from tests.optimizers.optimizer_cases import CASES, Case


@pytest.fixture
def params() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"b": jnp.asarray(rng.normal(size=3), jnp.float32), "w": jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, case: Case) -> None:
    LAWS[law](case)


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


def test_unhashable_user_callables_see_numbers_and_compare_by_identity() -> None:
    p = jnp.ones(1)
    for make in (
        lambda v: opt.sgd(Stepped(v)),
        lambda v: opt.sgd(opt.join_schedules([Stepped(v), opt.constant_schedule(0.0)], [10])),
    ):
        steps = [tx.update(p, tx.init(p))[0] for tx in (make(0.1), make(0.5))]
        np.testing.assert_allclose(jnp.concatenate(steps), [-0.1, -0.5], rtol=1e-6)


def test_a_step_below_the_range_of_the_gradients_dtype() -> None:
    params, grads = jnp.ones(2), jnp.ones(2, jnp.float16)
    tx = opt.adam(1e-8)
    np.testing.assert_allclose(tx.update(grads, tx.init(params), params)[0], -1e-8, rtol=1e-5)


TABLE = np.array([0.1, 0.2, 0.3], np.float32)


@pytest.mark.parametrize(
    "look", [lambda n: TABLE[n], lambda n: 0.1 + 0.1 * float(np.asarray(n))], ids=["index", "array"]
)
def test_eager_update_with_a_schedule_that_converts_the_count_to_numpy(look: Any) -> None:
    tx, p = opt.sgd(opt.join_schedules([look, opt.constant_schedule(1.0)], [10])), jnp.ones(1)
    state = tx.init(p)
    for expected in TABLE:
        updates, state = tx.update(p, state, p)
        np.testing.assert_allclose(updates, -expected, rtol=1e-6)


def test_eager_update_reads_the_users_variables_anew() -> None:
    box, p = [0.1], jnp.ones(1)
    tx = opt.sgd(opt.join_schedules([lambda n: box[0], opt.constant_schedule(1.0)], [10]))
    state = tx.init(p)
    np.testing.assert_allclose(tx.update(p, state, p)[0], -0.1, rtol=1e-6)
    box[0] = 0.5
    np.testing.assert_allclose(tx.update(p, state, p)[0], -0.5, rtol=1e-6)


def test_eager_update_of_leaves_on_several_devices() -> None:
    first, second = jax.devices()[:2]
    params = {"a": jax.device_put(jnp.ones(2), first), "b": jax.device_put(jnp.ones(2), second)}
    tx = opt.adamw(0.1)
    updates, _ = tx.update(params, tx.init(params), params)
    assert {name: u.devices() for name, u in updates.items()} == {"a": {first}, "b": {second}}
