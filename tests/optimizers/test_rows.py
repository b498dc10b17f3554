"""Row optimizers against the dense rules on the whole table, with repeated, padded and never touched rows."""

import functools
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers import rows
from jaxopt_lite.optimizers.rows._unique import unique_rows

SIZE, WIDTH, STEPS = 40, 3, 60


def steps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ids with repetitions, some rows rare, some never; gradients of varying scale."""
    rng = np.random.default_rng(seed)
    ids = np.minimum(rng.geometric(0.12, size=(STEPS, 2, 4)) - 1, SIZE - 5)
    ids[:30] = np.minimum(ids[:30], 8)
    return ids, (rng.normal(size=(STEPS, 2, 4, WIDTH)) * 10 ** rng.uniform(-3, 0, (STEPS, 1, 1, 1))).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def dense(tx: Any, table: Any, ids: Any, grads: Any) -> Any:
    def step(carry: Any, now: Any) -> Any:
        table, state = carry
        whole = jnp.zeros_like(table).at[now[0].reshape(-1)].add(now[1].reshape(-1, WIDTH))
        updates, state = tx.update(whole, state, table)
        return (table + updates, state), None

    return jax.lax.scan(step, (table, tx.init(table)), (ids, grads))[0][0]


@functools.partial(jax.jit, static_argnums=0)
def sparse(tx: Any, table: Any, ids: Any, grads: Any) -> Any:
    def step(carry: Any, now: Any) -> Any:
        return tx.update(*carry, *now), None

    return tx.catch_up(*jax.lax.scan(step, (table, tx.init(table)), (ids, grads))[0])[0]


TABLE = jnp.asarray(np.random.default_rng(5).normal(size=(SIZE, WIDTH)), jnp.float32)


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_equals_dense_exactly(name: str) -> None:
    """Every step bit for bit; over many, XLA may contract a product and a sum in one program and not in the other."""
    ids, grads = steps()
    expected = dense(getattr(opt, name)(0.1), TABLE, ids, grads)
    np.testing.assert_array_max_ulp(sparse(getattr(rows, name)(0.1), TABLE, ids, grads), np.asarray(expected), 2)
    for k in range(5):
        expected = dense(getattr(opt, name)(0.1), TABLE, ids[k : k + 1], grads[k : k + 1])
        one = sparse(getattr(rows, name)(0.1), TABLE, ids[k : k + 1], grads[k : k + 1])
        np.testing.assert_array_equal(one, expected)


ADAMS: dict[str, dict[str, Any]] = {
    "number": {},
    "schedule": {"learning_rate": opt.exponential_decay(0.1, 10, 0.7)},
    "scheduled b1": {"b1": opt.linear_schedule(0.5, 0.95, 60)},
    "function as b1": {"b1": lambda count: 0.5 + 0.4 * (count > 20)},
    "no momentum": {"b1": 0.0},
    "no means": {"b1": 0.0, "b2": 0.0, "eps": 1e-3},
}


@pytest.mark.parametrize("settings", ADAMS.values(), ids=ADAMS.keys())
def test_adam_with_catch_up_equals_dense(settings: dict[str, Any]) -> None:
    settings = {"learning_rate": 0.1} | settings
    ids, grads = steps()
    expected = dense(opt.adam(**settings), TABLE, ids, grads)
    exact = sparse(rows.adam(**settings, catch_up=True), TABLE, ids, grads)
    np.testing.assert_allclose(exact, expected, atol=1e-5, rtol=0)
    if settings.get("b1"):
        lazy = sparse(rows.adam(**settings), TABLE, ids, grads)
        assert np.abs(lazy - expected).max() > 0.01


def test_adam_catches_up_over_thousands_of_steps() -> None:
    tx, plain, table = rows.adam(0.01, catch_up=True), opt.adam(0.01), jnp.zeros((2, 1))
    gap = 3000
    table, state = tx.update(table, tx.init(table), jnp.array([0, 1]), jnp.ones((2, 1)))
    update = jax.jit(tx.update)
    for _ in range(3):
        state = state._replace(count=state.count + gap - 1)
        table, state = update(table, state, jnp.array([1]), jnp.ones((1, 1)))
    table, _ = tx.catch_up(table, state)

    def step(carry: Any, k: Any) -> Any:
        p, state = carry
        updates, state = plain.update((k % gap == 0) * jnp.ones(1), state)
        return (p + updates, state), None

    start = (jnp.zeros(1), plain.init(jnp.zeros(1)))
    (expected, _), _ = jax.lax.scan(step, start, jnp.arange(3 * gap + 1))
    np.testing.assert_allclose(table[1], expected, atol=1e-5)


def test_a_row_that_waits_while_b1_falls_makes_all_missed_steps() -> None:
    settings = {"learning_rate": 0.1, "b1": opt.linear_schedule(0.97, 0.1, 40)}
    ids = np.where(np.arange(STEPS)[:, None, None] % 40 < 4, 0, 1) * np.ones((1, 2, 4), int)
    grads = steps()[1]
    expected = dense(opt.adam(**settings), TABLE, ids, grads)
    np.testing.assert_allclose(sparse(rows.adam(**settings, catch_up=True), TABLE, ids, grads), expected, atol=1e-5)


def test_padding_and_untouched_rows() -> None:
    tx = rows.adagrad(0.1)
    ids, grads = jnp.array([3, -1, SIZE, 3]), jnp.ones((4, WIDTH))
    table, state = tx.update(TABLE, tx.init(TABLE), ids, grads)
    changed = np.flatnonzero(np.any(np.asarray(table != TABLE), axis=1))
    assert changed.tolist() == [3]
    assert state.moments["sum_of_squares"][3, 0] == pytest.approx(4.1)
    assert np.isfinite(table).all()


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.int8, jnp.uint32])
def test_padding_is_zero_in_forward_gradient_and_update(dtype: Any) -> None:
    last = jnp.iinfo(dtype).max if dtype == jnp.uint32 else -1
    ids = jnp.array([[3, 0], [SIZE, 3]], dtype).at[0, 1].set(last)
    expected = np.zeros((2, 2, WIDTH), np.float32)
    expected[0, 0] = expected[1, 1] = TABLE[3]
    np.testing.assert_array_equal(rows.gather(TABLE, ids), expected)
    # The derivative of the root is infinite at a row of zeros.
    loss = lambda r: jnp.sum(jnp.sqrt(jnp.sum(r**2, -1)))  # noqa: E731
    value, (g,) = rows.value_and_grad(loss)(TABLE, ids)
    norm = jnp.sqrt(jnp.sum(TABLE[3] ** 2))
    np.testing.assert_allclose(value, 2 * norm, rtol=1e-6)
    np.testing.assert_array_equal(g[0, 1], 0)
    np.testing.assert_array_equal(g[1, 0], 0)
    np.testing.assert_allclose(g[1, 1], TABLE[3] / norm, rtol=1e-6)
    tx = rows.sgd(0.1)
    table, _ = tx.update(TABLE, tx.init(TABLE), ids, jnp.full((2, 2, WIDTH), jnp.nan).at[0, 0].set(1).at[1, 1].set(1))
    np.testing.assert_allclose(table[3], TABLE[3] - 0.2, rtol=1e-6)
    np.testing.assert_array_equal(jnp.delete(table, 3, axis=0), jnp.delete(TABLE, 3, axis=0))


FOREIGN: dict[str, Any] = {
    "another row optimizer": rows.adagrad(0.1).init(TABLE),
    "another table": rows.adam(0.1).init(TABLE[:5]),
    "catch-up": rows.adam(0.1, catch_up=True).init(TABLE),
    "dense": opt.adam(0.1).init(TABLE),
    "dense tree": opt.adam(0.1).init({"table": TABLE}),
    "none": None,
}


@pytest.mark.parametrize("state", FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_states_are_refused(state: Any) -> None:
    tx = rows.adam(0.1)
    with pytest.raises(TypeError, match=r"rows.adam was given a state of .*its own init made for this table \(40, 3\)"):
        tx.update(TABLE, state, jnp.arange(2), jnp.ones((2, WIDTH)))
    with pytest.raises(TypeError, match=r"rows.adam was given a state of"):
        tx.catch_up(TABLE, state)


def test_half_precision_table() -> None:
    tx, table = rows.adam(0.1), TABLE.astype(jnp.bfloat16)
    new, state = tx.update(table, tx.init(table), jnp.array([1]), jnp.ones((1, WIDTH), jnp.bfloat16))
    assert new.dtype == jnp.bfloat16 and state.moments["nu"].dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(new[1] - table[1], np.float32), -0.1, rtol=0.1)


@pytest.mark.parametrize("make", [rows.sgd, rows.adagrad, rows.adam], ids=lambda f: f.__name__)
def test_is_data(make: Any) -> None:
    traces = []

    @jax.jit
    def run(tx: Any, table: Any) -> Any:
        traces.append(1)
        return tx.update(table, tx.init(table), jnp.array([1, 2]), jnp.ones((2, WIDTH)))[0]

    alone = [run(make(rate), TABLE) for rate in (0.1, 0.2)]
    stacked = jax.tree.map(lambda *x: jnp.asarray(x, jnp.float32), make(0.1), make(0.2))
    np.testing.assert_allclose(jax.vmap(run, in_axes=(0, None))(stacked, TABLE), jnp.stack(alone), rtol=1e-6)
    assert len(traces) <= 2
    tx = make(0.1)
    assert pickle.loads(pickle.dumps(tx)) == tx == make(0.1) != make(0.2) and tx.update == make(0.2).update
    assert eval(repr(tx), {"rows": rows}) == tx
    state = opt.with_settings(tx.init(TABLE), learning_rate=0.2)
    np.testing.assert_array_equal(tx.update(TABLE, state, jnp.array([1, 2]), jnp.ones((2, WIDTH)))[0], alone[1])


def test_only_the_touched_rows_are_written() -> None:
    table = jnp.zeros((10_000, 16))
    tx = rows.adagrad(0.1)
    args = (table, tx.init(table), jnp.arange(64), jnp.ones((64, 16)))
    compiled = jax.jit(tx.update, donate_argnums=(0, 1)).lower(*args).compile().memory_analysis()
    assert compiled.temp_size_in_bytes < 0.05 * table.nbytes
    assert compiled.alias_size_in_bytes >= 2 * table.nbytes


def test_gradient_in_the_rows() -> None:
    ids, weight = jnp.array([[0, 1], [1, 1]]), jnp.arange(3.0)

    def loss(r: Any, weight: Any) -> Any:
        return jnp.sum(jnp.tanh(r * weight[None, None])), r.shape

    (value, shape), (g, slope) = rows.value_and_grad(loss, argnums=(0,), has_aux=True)(TABLE, ids, weight)
    assert shape == (2, 2, WIDTH) and g.shape == (2, 2, WIDTH)
    whole = jax.grad(lambda t: loss(t[ids], weight)[0])(TABLE)
    summed = jnp.zeros_like(TABLE).at[ids.reshape(-1)].add(g.reshape(-1, WIDTH))
    np.testing.assert_allclose(summed, whole, rtol=1e-6)
    np.testing.assert_allclose(slope, jax.grad(lambda w: loss(TABLE[ids], w)[0])(weight), rtol=1e-6)
    assert float(value) == float(loss(TABLE[ids], weight)[0])


def test_wrong_arguments() -> None:
    tx = rows.sgd(0.1)
    with pytest.raises(ValueError, match=r"rows.sgd: learning_rate=-1 is negative"):
        rows.sgd(-1)
    with pytest.raises(ValueError, match=r"rows.sgd.init was given shape \(3,\)"):
        tx.init(jnp.ones(3))
    with pytest.raises(ValueError, match=r"rows.sgd.update was given ids float32"):
        tx.update(TABLE, tx.init(TABLE), jnp.ones(2), jnp.ones((2, WIDTH)))
    with pytest.raises(ValueError, match=r"row_grads \(2, 9\) for a table \(40, 3\)"):
        tx.update(TABLE, tx.init(TABLE), jnp.arange(2), jnp.ones((2, 9)))


def test_a_table_too_large_to_sort_ids_and_places_as_one_number() -> None:
    ids = jnp.asarray(np.random.default_rng(8).integers(-1, 12, 300))
    grads = jnp.asarray(np.random.default_rng(9).normal(size=(300, WIDTH)), jnp.float32)
    small, huge = 11, 2**31 - 2
    (few, summed), (many, others) = (
        unique_rows(ids, grads, small),
        unique_rows(jnp.where(ids < small, ids, -1), grads, huge),
    )
    np.testing.assert_array_equal(few[:small], np.arange(small))
    np.testing.assert_array_equal(many[:small], np.arange(small))
    assert np.all(np.asarray(few[small:]) == small)
    assert np.all(np.asarray(many[small:]) == huge)
    np.testing.assert_array_equal(summed[:small], others[:small])


def test_ids_of_a_small_integer_type() -> None:
    table = jnp.zeros((300, 1))
    tx = rows.sgd(1.0)
    moved, _ = tx.update(table, tx.init(table), jnp.array([2, 5], jnp.uint8), jnp.ones((2, 1)))
    np.testing.assert_array_equal(np.flatnonzero(moved), [2, 5])


def test_a_plain_function_is_static_and_printed() -> None:
    tx = rows.sgd(abs)
    assert jax.tree.leaves(tx) == [] and repr(tx) == "rows.sgd(learning_rate=<built-in function abs>)"


@pytest.mark.parametrize("tx", [rows.adagrad(0.1), rows.adam(0.1, catch_up=True)], ids=str)
def test_no_ids_change_nothing(tx: Any) -> None:
    table, _ = tx.update(TABLE, tx.init(TABLE), jnp.zeros(0, jnp.int32), jnp.zeros((0, WIDTH)))
    np.testing.assert_array_equal(table, TABLE)
