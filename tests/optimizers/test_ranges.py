"""Ranges of settings: a rule changes no range of others, and `with_settings` checks what constructors check."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers import rows

P = jnp.ones(2)


def per_leaf(g: Any, p: Any, m: Any, s: Any) -> Any:
    return -s.learning_rate * g, {}


def test_a_rule_changes_no_other_range() -> None:
    rate = {"learning_rate": opt.Range()}
    mine = opt.Rule("mine", rate | {"power": opt.Range(0.0, 1.0), "b1": opt.Range(0.0, 10.0)}, {}, per_leaf)
    assert opt.polynomial_schedule(1.0, 0.0, 2, 10).power == 2
    with pytest.raises(ValueError, match=r"b1=1.5 is outside"):
        opt.with_settings(opt.adam(0.1).init(P), b1=1.5)
    state = mine(learning_rate=0.1, power=0.5, b1=5.0).init(P)
    assert float(opt.settings(state)["b1"]) == 5
    with pytest.raises(ValueError, match=r"mine: power=2 is outside \[0, 1\)"):
        mine(learning_rate=0.1, power=2.0)
    with pytest.raises(ValueError, match="mine: power has shape"):
        mine(learning_rate=0.1, power=P)


WRONG: list[tuple[Any, dict[str, Any]]] = [
    (lambda **s: opt.guard(opt.sgd(0.1), **s), {"warmup": -3}),
    (lambda **s: opt.guard(opt.sgd(0.1), **s), {"patience": -1}),
    (lambda **s: opt.guard(opt.sgd(0.1), **s), {"growth_interval": 0}),
    (lambda **s: opt.accumulate(opt.sgd(0.1), **{"steps": 2} | s), {"steps": 0.5}),
    (lambda **s: opt.average(opt.sgd(0.1), **s), {"begin": -2}),
    (lambda **s: opt.stochastic_rounding(opt.sgd(0.1), **s), {"seed": 0.2}),
    (lambda **s: opt.stochastic_rounding(opt.sgd(0.1), **s), {"seed": 2**24 + 2}),
    (lambda **s: opt.clip(**{"max_delta": 1.0} | s), {"max_delta": 0.0}),
]


@pytest.mark.parametrize("make, setting", WRONG, ids=[next(iter(setting)) for _, setting in WRONG])
def test_constructors_and_with_settings_refuse_the_same_numbers(make: Any, setting: dict[str, Any]) -> None:
    name = next(iter(setting))
    with pytest.raises(ValueError, match=f"{name}="):
        make(**setting)
    with pytest.raises(ValueError, match=f"with_settings: {name}="):
        opt.with_settings(make().init(P), **setting)


SETTINGS: list[tuple[Any, dict[str, Any]]] = [
    (opt.accumulate, {"steps": 1}),
    (opt.average, {"decay": 0.5, "begin": 0}),
    (opt.compress, {"min_size": 1}),
    (opt.guard, {"max_spike": 9.0, "loss_scale": 2.0, "decay": 0.5, "warmup": 1, "patience": 1, "growth_interval": 9}),
    (opt.stochastic_rounding, {"seed": 1}),
]
CONSTANT = {"min_size", "loss_scale", "seed"}


@pytest.mark.parametrize("make, name", [(make, name) for make, given in SETTINGS for name in given])
def test_a_setting_of_a_wrapper_takes_a_schedule_or_refuses_it(make: Any, name: str) -> None:
    given = dict(SETTINGS)[make]
    assert given.keys() == inspect.signature(make).parameters.keys() - {"tx"}
    plain, schedule = make(opt.sgd(0.1), **given), opt.linear_schedule(given[name], given[name], 5)
    if name not in CONSTANT:
        tx = make(opt.sgd(0.1), **given | {name: schedule})
        assert jnp.array_equal(tx.update(P, tx.init(P), P)[0], plain.update(P, plain.init(P), P)[0])
        return
    for refused in (schedule, lambda count: 1):
        with pytest.raises(TypeError, match=f"{make.__name__}: {name}=.* must be a"):
            make(opt.sgd(0.1), **given | {name: refused})
    if name != "min_size":
        with pytest.raises(TypeError, match=f"with_settings: {name}=.* must be a number"):
            opt.with_settings(plain.init(P), **{name: schedule})


def stacked() -> Any:
    return jax.vmap(lambda rate: opt.chain(opt.clip(1.0), opt.sgd(rate)).init(P))(jnp.array([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("value", [0.5, jnp.ones(()), jnp.ones(2), opt.constant_schedule(0.5)], ids=str)
def test_settings_of_a_vmapped_state_stay_one_for_each_member(value: Any) -> None:
    with pytest.raises(ValueError, match=r"learning_rate has the shape \(3,\) in this state.*jax.vmap\(lambda state"):
        opt.with_settings(stacked(), learning_rate=value)


@pytest.mark.parametrize("value", [jnp.arange(3.0), jax.vmap(opt.constant_schedule)(jnp.arange(3.0))], ids=["a", "s"])
def test_settings_of_a_vmapped_state_change_all_at_once(value: Any) -> None:
    tx = opt.chain(opt.clip(1.0), opt.sgd(0.1))
    step = jax.vmap(lambda state: tx.update(P, state)[0][0])
    assert step(opt.with_settings(stacked(), learning_rate=value)).tolist() == [0, -1, -2]
    same = jax.vmap(lambda state: opt.with_settings(state, learning_rate=0.5))(stacked())
    assert step(same).tolist() == [-0.5] * 3


def test_of_a_lifted_factory_only_the_learning_rate_is_checked() -> None:
    tx = opt.lift(optax.sgd)(0.1, momentum=1.0)
    state = opt.with_settings(tx.init(P), momentum=1.5)
    assert float(opt.settings(state)["momentum"]) == 1.5
    with pytest.raises(ValueError, match="learning_rate=-1 is negative"):
        opt.with_settings(state, learning_rate=-1.0)


def test_rows_refuse_none() -> None:
    with pytest.raises(TypeError, match=r"rows.adam: b1 is None"):
        rows.adam(0.1, b1=None)  # type: ignore[arg-type]
