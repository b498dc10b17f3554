"""Wrong input: one clear error at the call, saying what was given, why it cannot work and what to do."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxopt_lite import optimizers as opt

CALLS: dict[str, tuple[Any, type[Exception], str]] = {
    "negative rate": (lambda: opt.sgd(-0.1), ValueError, "sgd: learning_rate=-0.1 is negative.*give its size"),
    "rate nan": (lambda: opt.adam(float("nan")), ValueError, "learning_rate is not a number"),
    "rate text": (lambda: opt.adam("0.1"), TypeError, "learning_rate='0.1' is a str: give a number or a schedule"),
    "rate flag": (lambda: opt.adam(True), TypeError, "learning_rate=True is a bool"),
    "b1": (lambda: opt.adam(0.1, b1=1.0), ValueError, r"adam: b1=1 is outside \[0, 1\)"),
    "b2": (lambda: opt.adamw(0.1, b2=-0.5), ValueError, r"adamw: b2=-0.5 is outside \[0, 1\)"),
    "momentum": (lambda: opt.sgd(0.1, momentum=1.5), ValueError, r"momentum=1.5 is outside \[0, 1\)"),
    "eps": (lambda: opt.rmsprop(0.1, eps=-1), ValueError, "eps=-1 is negative"),
    "dtype": (lambda: opt.adam(0.1, mu_dtype=jnp.int8), ValueError, "mu_dtype=.* cannot store a moment"),
    "steps": (lambda: opt.exponential_decay(0.1, 0, 0.5), ValueError, "transition_steps=0 must be above 0"),
    "warm-up": (lambda: opt.warmup_cosine_decay_schedule(0, 1, 10, 5), ValueError, "decay_steps=5 includes the warm"),
    "factory": (lambda: opt.chain(opt.adam), TypeError, r"given the function .*call it first, as in adam\(1e-3\)"),
    "no transform": (lambda: opt.chain(3), TypeError, "given 3, which has no init and update"),
    "lift of a result": (lambda: opt.lift(opt.adam(1e-3)), TypeError, "give the factory itself"),
    "no rate": (lambda: opt.adamw(None), TypeError, "adamw: learning_rate is None: give a number or a schedule"),
    "optax's state": (
        lambda: opt.adam(0.1).update(jnp.ones(2), optax.adam(0.1).init(jnp.ones(2)), jnp.ones(2)),
        TypeError,
        r"adam.update was given a state of tuple: .*from_optax\(tx, state, params\)",
    ),
    "no state": (
        lambda: opt.with_settings(optax.adam(0.1).init(jnp.ones(2)), learning_rate=0.1),
        TypeError,
        "with_settings was given tuple, which holds no settings",
    ),
    "catalogue": (lambda: opt.CATALOGUE["adamm"], KeyError, "unknown optimizer 'adamm': did you mean 'adam'"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_wrong_arguments(call: tuple[Any, type[Exception], str]) -> None:
    function, kind, message = call
    with pytest.raises(kind, match=message):
        function()


def test_integer_parameters() -> None:
    with pytest.raises(TypeError, match=r"adam.init: \['n'\] is of dtype int32: give floating arrays only"):
        opt.adam(0.1).init({"n": jnp.arange(3), "w": jnp.ones(2)})
    with pytest.raises(TypeError, match="is a Python float"):
        opt.adam(0.1).init({"n": 1.0})


@pytest.mark.parametrize("name", opt.CATALOGUE)
def test_integer_gradients(name: str) -> None:
    tx, params = opt.CATALOGUE[name].function(0.1), {"w": jnp.ones(2)}
    with pytest.raises(TypeError, match=r"update: \['w'\] is of dtype int32, .*: give floating gradients"):
        tx.update({"w": jnp.ones(2, jnp.int32)}, tx.init(params), params)


@pytest.mark.parametrize("name", [n for n, row in opt.CATALOGUE.items() if row.memory > 0])
def test_gradients_of_another_tree_or_shape(name: str) -> None:
    tx = opt.CATALOGUE[name].function(0.1)
    params = {"a": jnp.ones(2), "w": jnp.ones((2, 3))}
    state = tx.init(params)
    with pytest.raises(ValueError, match=r"\['w'\]: gradient \(3, 2\), parameter \(2, 3\)"):
        tx.update({"a": jnp.ones(2), "w": jnp.ones((3, 2))}, state, params)
    with pytest.raises(ValueError, match=r"\['a'\]: gradient missing, parameter \(2,\)"):
        tx.update({"w": jnp.ones((2, 3))}, state, params)


def test_decay_needs_the_parameters() -> None:
    tx = opt.adamw(0.1)
    with pytest.raises(ValueError, match=r"adamw decays the parameters and was given none: call update\(grads, state"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_settings_by_name() -> None:
    state = opt.chain(opt.sgd(0.1), opt.adam(0.2)).init(jnp.ones(2))
    with pytest.raises(
        ValueError, match=r"'learning_rate' occurs in 2 places: write one of 0.learning_rate, 1.learning_"
    ):
        opt.with_settings(state, learning_rate=0.3)
    with pytest.raises(ValueError, match="unknown setting 'bb1': did you mean"):
        opt.with_settings(state, bb1=0.3)
    with pytest.raises(ValueError, match="b1=2 is outside"):
        opt.with_settings(state, b1=2)
    changed = opt.with_settings(state, **{"1.learning_rate": 0.3})
    assert float(opt.settings(changed)["1.learning_rate"]) == pytest.approx(0.3)
    assert float(opt.settings(changed)["0.learning_rate"]) == pytest.approx(0.1)
    assert jax.tree.structure(changed) == jax.tree.structure(state)
