"""Ranges of settings: a rule changes no range of others, and `with_settings` checks what constructors check."""

from typing import Any

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


def test_of_a_lifted_factory_only_the_learning_rate_is_checked() -> None:
    tx = opt.lift(optax.sgd)(0.1, momentum=1.0)
    state = opt.with_settings(tx.init(P), momentum=1.5)
    assert float(opt.settings(state)["momentum"]) == 1.5
    with pytest.raises(ValueError, match="learning_rate=-1 is negative"):
        opt.with_settings(state, learning_rate=-1.0)


def test_rows_refuse_none() -> None:
    with pytest.raises(TypeError, match=r"rows.adam: b1 is None"):
        rows.adam(0.1, b1=None)  # type: ignore[arg-type]
