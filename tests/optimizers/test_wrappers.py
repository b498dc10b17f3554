"""Wrappers of any transform, ours or optax's: what they promise, under faults, under vmap, and as data."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt

INNER = {"ours": opt.adamw(0.1), "optax": optax.adamw(0.1)}
every_inner = pytest.mark.parametrize("inner", INNER.values(), ids=INNER.keys())
WRAPPERS: dict[str, Any] = {
    "accumulate": lambda tx: opt.accumulate(tx, 1),
    "guard": lambda tx: opt.guard(tx, max_spike=10.0),
    "average": lambda tx: opt.average(tx, decay=0.9),
    "partition_by_path": lambda tx: opt.partition_by_path({"b": tx, ".*": tx}),
    "chain": lambda tx: opt.chain(opt.clip_by_global_norm(100.0), tx),
}
every_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())


def tree(seed: int, dtype: Any = jnp.float32) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"b": jnp.asarray(rng.normal(size=3), dtype), "w": jnp.asarray(rng.normal(size=(2, 3)), dtype)}


def close(a: Any, b: Any, **bounds: Any) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **({"rtol": 1e-5, "atol": 1e-7} | bounds)), a, b)


@every_inner
@every_wrapper
def test_changes_nothing_where_nothing_is_wrong(wrap: Any, inner: Any) -> None:
    params, tx = tree(0), wrap(inner)
    state, plain = tx.init(params), inner.init(params)
    for k in range(3):
        updates, state = tx.update(tree(k + 1), state, params)
        expected, plain = inner.update(tree(k + 1), plain, params)
        close(updates, expected)


@every_wrapper
def test_is_data(wrap: Any) -> None:
    traces = []

    @jax.jit
    def train(tx: Any, params: Any) -> Any:
        traces.append(1)
        state = tx.init(params)
        for k in range(2):
            updates, state = tx.update(jax.tree.map(lambda p, k=k: p * (k + 1), params), state, params)
            params = optax.apply_updates(params, updates)
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))

    alone = [train(wrap(opt.adam(rate)), tree(0)) for rate in (0.1, 0.2)]
    assert len(traces) == 1
    pair = [wrap(opt.adam(rate)) for rate in (0.1, 0.2)]
    stacked = jax.tree.map(lambda *x: jnp.asarray(x, jnp.float32), *pair)
    close(jax.vmap(train, in_axes=(0, None))(stacked, tree(0)), jnp.stack(alone))
    slope = jax.tree_util.tree_flatten_with_path(jax.grad(train)(pair[0], tree(0)))[0]
    slope = sum(float(value) for path, value in slope if path[-1].name == "learning_rate")
    up, down = (train(wrap(opt.adam(0.1 + h)), tree(0)) for h in (1e-2, -1e-2))
    np.testing.assert_allclose(slope, (up - down) / 2e-2, rtol=1e-2)
    assert pair[0] == wrap(opt.adam(0.1)) != pair[1] and pair[0].update == pair[1].update
    assert pickle.loads(pickle.dumps(pair[0])) == pair[0]
    assert eval(repr(pair[0]), vars(opt)) == pair[0]


@every_inner
@every_wrapper
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_state_never_changes(wrap: Any, inner: Any, dtype: Any) -> None:
    params, tx = tree(0, dtype), wrap(inner)
    state = tx.init(params)
    updates, after = jax.eval_shape(tx.update, tree(1, dtype), state, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    if inner is INNER["ours"]:
        assert [(x.shape, x.dtype) for x in jax.tree.leaves(after)] == [
            (x.shape, x.dtype) for x in jax.tree.leaves(state)
        ]
    assert all(u.dtype == dtype for u in jax.tree.leaves(updates))


@every_inner
def test_accumulate_equals_the_large_batch_and_is_not_poisoned(inner: Any) -> None:
    params, tx = tree(0), opt.accumulate(inner, 3)
    update, state = jax.jit(tx.update), tx.init(params)
    plain = inner.init(params)
    for turn in range(3):
        micro = [tree(10 * turn + k) for k in range(3)]
        if turn == 1:
            micro[1] = jax.tree.map(lambda g: g.at[..., 0].set(jnp.inf), micro[1])
        if turn == 2:
            micro[0] = jax.tree.map(lambda g: g * jnp.nan, micro[0])
        for k, grads in enumerate(micro):
            updates, state = update(grads, state, params)
            assert k == 2 or not any(np.any(u) for u in jax.tree.leaves(updates))
        good = [g for g in micro if np.isfinite(g["w"]).all()]
        mean = jax.tree.map(lambda *g: sum(g) / len(g), *good)
        expected, plain = inner.update(mean, plain, params)
        close(updates, expected, rtol=1e-4)
    assert int(state.skipped) == 2 and int(state.count) == 3


def test_accumulate_with_nothing_finite_emits_nothing() -> None:
    tx = opt.accumulate(opt.sgd(0.1), 2)
    state = tx.init(jnp.ones(2))
    for _ in range(2):
        updates, state = tx.update(jnp.full(2, jnp.nan), state)
    assert not np.any(updates) and int(state.count) == 0 and int(state.skipped) == 2
    for _ in range(2):
        updates, state = tx.update(jnp.ones(2), state)
    np.testing.assert_allclose(updates, -0.1, rtol=1e-6)


def test_accumulate_in_half_precision_sums_in_float32() -> None:
    tx = opt.accumulate(opt.sgd(1.0), 1000)
    state = tx.init(jnp.zeros(1, jnp.bfloat16))
    step = jax.jit(lambda state: tx.update(jnp.ones(1, jnp.bfloat16), state))
    for _ in range(1000):
        updates, state = step(state)
    assert updates.dtype == jnp.bfloat16 and float(updates[0]) == -1


def test_mean_gradients() -> None:
    def gradient(params: Any, batch: Any) -> Any:
        return jax.grad(lambda p: jnp.sum(p * batch))(params)

    batches = jnp.arange(12.0).reshape(4, 3).at[1, 0].set(jnp.inf)
    mean = jax.jit(lambda p: opt.mean_gradients(gradient, p, batches))(jnp.ones(3))
    np.testing.assert_allclose(mean, np.delete(np.asarray(batches), 1, 0).mean(0), rtol=1e-6)
    none = opt.mean_gradients(gradient, jnp.ones(3), batches * jnp.nan)
    np.testing.assert_array_equal(none, 0)


@every_inner
def test_guard_skips_what_is_not_finite(inner: Any) -> None:
    params, tx = tree(0), opt.guard(inner)
    state = tx.init(params)
    _, state = tx.update(tree(1), state, params)
    bad = jax.tree.map(lambda g: g.at[..., -1].set(jnp.inf), tree(2))
    updates, after = jax.jit(tx.update)(bad, state, params)
    assert not any(np.any(u) for u in jax.tree.leaves(updates))
    close(jax.tree.leaves(after.inner), jax.tree.leaves(state.inner), rtol=0, atol=0)
    assert (int(after.count), int(after.skipped), int(after.nonfinite), int(after.in_a_row)) == (2, 1, 1, 1)
    expected, _ = tx.update(tree(3), state, params)
    updates, after = tx.update(tree(3), after, params)
    close(updates, expected)
    assert int(after.in_a_row) == 0


def test_guard_skips_spikes_but_not_for_ever_and_each_member_for_itself() -> None:
    tx = opt.guard(opt.sgd(1.0), max_spike=5.0, warmup=3, patience=4)
    state = jax.vmap(tx.init)(jnp.zeros((2, 1)))
    update = jax.jit(jax.vmap(tx.update))
    for _ in range(5):
        _, state = update(jnp.ones((2, 1)), state)
    for _ in range(4):
        updates, state = update(jnp.array([[100.0], [1.0]]), state)
        np.testing.assert_array_equal(updates[:, 0], [0, -1])
    assert state.spikes.tolist() == [4, 0] and state.in_a_row.tolist() == [4, 0]
    updates, state = update(jnp.array([[100.0], [1.0]]), state)
    np.testing.assert_array_equal(updates[:, 0], [-100, -1])
    assert state.nonfinite.tolist() == [0, 0]


def test_guard_scales_the_loss() -> None:
    tx = opt.guard(opt.sgd(1.0), loss_scale=8.0, growth_interval=3)
    state = tx.init(jnp.ones(1))
    scales = []
    for k in range(6):
        scale = opt.loss_scale_of(state)
        scales.append(float(scale))
        grads = jnp.ones(1) * scale * (jnp.inf if k == 1 else 1)
        updates, state = tx.update(grads, state)
        assert float(updates[0]) == (0 if k == 1 else -1)
    assert scales == [8, 8, 4, 4, 4, 8]
    with pytest.raises(ValueError, match="a state without a guard"):
        opt.loss_scale_of(opt.sgd(0.1).init(jnp.ones(1)))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_norm_does_not_overflow(dtype: Any) -> None:
    large = jnp.full(100, jnp.finfo(dtype).max / 2, dtype)
    tx = opt.clip_by_global_norm(1.0)
    updates, _ = jax.jit(tx.update)(large, tx.init(large))
    np.testing.assert_allclose(np.asarray(updates, np.float32), 0.1, rtol=1e-2)
    small = jnp.asarray([3e-3, 4e-3], dtype)
    np.testing.assert_array_equal(tx.update(small, tx.init(small))[0], small)
    assert np.isinf(opt.global_norm({"a": jnp.array([jnp.inf], dtype)}))
    assert np.isnan(opt.global_norm({"a": jnp.array([jnp.nan], dtype)}))
    assert float(opt.global_norm({})) == 0


@pytest.mark.parametrize("name", ["clip", "clip_by_global_norm", "clip_by_block_rms"])
def test_clips_equal_optax(name: str) -> None:
    ours, theirs = getattr(opt, name)(0.5), getattr(optax, name)(0.5)
    grads = tree(5)
    close(ours.update(grads, ours.init(grads))[0], theirs.update(grads, theirs.init(grads))[0])


def test_partition_by_path() -> None:
    params = {"dense": tree(0), "norm": tree(1)}
    tx = opt.partition_by_path({"norm": opt.sgd(1.0), "/b$": optax.sgd(0.5), ".*": opt.adamw(0.1, mask=None)})
    updates, state = jax.jit(tx.update)(params, tx.init(params), params)
    np.testing.assert_allclose(updates["norm"]["w"], -params["norm"]["w"], rtol=1e-6)
    np.testing.assert_allclose(updates["dense"]["b"], -0.5 * params["dense"]["b"], rtol=1e-6)
    alone = opt.adamw(0.1)
    expected, _ = alone.update(params["dense"]["w"], alone.init(params["dense"]["w"]), params["dense"]["w"])
    np.testing.assert_allclose(updates["dense"]["w"], expected, rtol=1e-6)
    assert {"0.learning_rate", "2.learning_rate"} <= set(opt.settings(state))
    with pytest.raises(
        ValueError, match=r"no pattern of \['norm'\] matches 'dense/b', 'dense/w': add one for the rest"
    ):
        opt.partition_by_path({"norm": opt.sgd(1.0)}).init(params)
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        opt.partition_by_path({"(": opt.sgd(1.0)})


def test_clip_inside_groups_is_global() -> None:
    grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    group = opt.chain(opt.clip_by_global_norm(1.0), opt.sgd(1.0))
    tx = opt.partition_by_path({"a": group, "b": group})
    updates, _ = tx.update(grads, tx.init(grads))
    close(updates, {"a": jnp.array([-0.6]), "b": jnp.array([-0.8])})


@pytest.mark.parametrize("decay", [None, 0.9])
def test_average(decay: Any) -> None:
    params, tx = tree(0), opt.average(opt.sgd(0.1), decay)
    state, seen = tx.init(params), []
    for k in range(10):
        updates, state = tx.update(tree(k), state, params)
        params = optax.apply_updates(params, updates)
        seen.append(np.asarray(params["w"]))
    weights = np.ones(10) if decay is None else decay ** np.arange(9, -1, -1.0)
    expected = np.average(seen, axis=0, weights=weights)
    np.testing.assert_allclose(opt.averaged(state, params)["w"], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="a state without an average"):
        opt.averaged((), params)
    with pytest.raises(ValueError, match="average averages the parameters and was given none"):
        tx.update(params, state)


def test_average_begins_later() -> None:
    params, tx = jnp.zeros(1), opt.average(opt.sgd(1.0), begin=3)
    state = tx.init(params)
    for _ in range(5):
        updates, state = tx.update(-jnp.ones(1), state, params)
        params = params + updates
    np.testing.assert_allclose(opt.averaged(state, params), 4.5)


WRONG: dict[str, tuple[Any, str]] = {
    "steps": (lambda: opt.accumulate(opt.sgd(0.1), 0), "steps=0 must be a whole number"),
    "half steps": (lambda: opt.accumulate(opt.sgd(0.1), 2.5), "steps=2.5 must be a whole number"),
    "norm": (lambda: opt.clip_by_global_norm(0.0), "max_norm=0 must be above 0"),
    "groups": (lambda: opt.partition_by_path([opt.sgd(0.1)]), "give a dictionary of patterns and transforms"),
    "decay": (lambda: opt.average(opt.sgd(0.1), 1.0), r"decay=1 is outside \[0, 1\)"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments(wrong: Any) -> None:
    with pytest.raises(ValueError, match=wrong[1]):
        wrong[0]()


@pytest.mark.parametrize("wrap", [opt.chain, opt.guard, opt.average, lambda tx: opt.accumulate(tx, 1)])
def test_extra_arguments_reach_a_plain_optax_transformation(wrap: Any) -> None:
    inside = optax.chain(optax.scale(-0.1), optax.contrib.reduce_on_plateau(patience=1, factor=0.5))
    tx, p = wrap(inside), jnp.ones(2)
    state, rates = tx.init(p), []
    for _ in range(6):
        updates, state = tx.update(p, state, p, value=jnp.asarray(1.0))
        rates.append(float(-updates[0]))
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.06
