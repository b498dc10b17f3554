"""Wrappers of any transform, ours or optax's: what they promise, under faults, under vmap, and as data."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import INNER, TRANSFORMS, close, every_inner, every_wrapper, tree

every_wrapper_with_state = pytest.mark.parametrize(
    "name", [name for name in TRANSFORMS if not name.startswith("clip") and name != "lift"]
)


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


WRONG: dict[str, tuple[Any, str]] = {
    "steps": (lambda: opt.accumulate(opt.sgd(0.1), 0), "steps=0 must be a whole number"),
    "half steps": (lambda: opt.accumulate(opt.sgd(0.1), 2.5), "steps=2.5 must be a whole number"),
    "infinite steps": (lambda: opt.accumulate(opt.sgd(0.1), float("inf")), "steps=inf must be a whole number"),
    "begin": (lambda: opt.average(opt.sgd(0.1), begin=-1), "average: begin=-1 must be 0 or more"),
    "warmup": (lambda: opt.guard(opt.sgd(0.1), warmup=-1), "guard: warmup=-1 must be 0 or more"),
    "patience": (lambda: opt.guard(opt.sgd(0.1), patience=-1), "guard: patience=-1 must be 0 or more"),
    "growth": (lambda: opt.guard(opt.sgd(0.1), growth_interval=0), "guard: growth_interval=0 must be 1 or more"),
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


@every_wrapper_with_state
def test_the_state_of_another_transform_is_refused(name: str) -> None:
    params = tree(0)
    with pytest.raises((ValueError, TypeError), match=f"{name}.* was given (a|the) state of"):
        TRANSFORMS[name].update(params, opt.adam(0.1).init(params), params)


def test_an_unknown_argument_of_a_lifted_factory() -> None:
    with pytest.raises(
        TypeError, match=r"lift\(lamb\): missing .*'learning_rate': its arguments are learning_rate, b1"
    ):
        opt.lift(optax.lamb)(rate=0.1)


def test_stochastic_rounding_draws_other_bits_for_each_leaf_and_seed() -> None:
    params = {name: jnp.ones(1000, jnp.bfloat16) for name in "ab"}
    grads = {name: jnp.full(1000, 1e-3, jnp.bfloat16) for name in "ab"}
    moved = []
    for seed in (0, 1):
        tx = opt.stochastic_rounding(opt.sgd(1.0), seed)
        updates, _ = tx.update(grads, tx.init(params), params)
        moved += [np.asarray(u) != 0 for u in updates.values()]
    assert all(50 < m.sum() < 500 for m in moved)
    assert not any(np.array_equal(a, b) for i, a in enumerate(moved) for b in moved[:i])
