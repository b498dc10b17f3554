"""Wrong input: one clear error at the call, saying what was given, why it cannot work and what to do."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps

CALLS: dict[str, tuple[Any, type[Exception], str]] = {
    "negative rate": (lambda: opt.sgd(-0.1), ValueError, "sgd: learning_rate=-0.1 is negative.*give its size"),
    "rate nan": (lambda: opt.adam(float("nan")), ValueError, "learning_rate is not a number"),
    "rate text": (lambda: opt.adam("0.1"), TypeError, "learning_rate='0.1' is a str: give a number or a schedule"),
    "rate flag": (lambda: opt.adam(True), TypeError, "learning_rate=True is a bool"),
    "b1": (lambda: opt.adam(0.1, b1=1.0), ValueError, r"adam: b1=1 is outside \[0, 1\)"),
    "b2": (lambda: opt.adamw(0.1, b2=-0.5), ValueError, r"adamw: b2=-0.5 is outside \[0, 1\)"),
    "momentum": (lambda: opt.sgd(0.1, momentum=1.5), ValueError, r"momentum=1.5 is outside \[0, 1\)"),
    "nesterov": (lambda: opt.sgd(0.1, nesterov=True), ValueError, "sgd: nesterov=True .* without momentum: give one"),
    "nesterov, rmsprop": (lambda: opt.rmsprop(0.1, nesterov=True), ValueError, "rmsprop: nesterov=True .*=0.9"),
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
        "with_settings was given tuple, which has no settings",
    ),
    "rate list": (
        lambda: opt.sgd([0.1, 0.2]),
        TypeError,
        r"sgd: learning_rate=\[0.1, 0.2\] is a list: give one number",
    ),
    "rate infinite": (lambda: opt.sgd(float("inf")), ValueError, "sgd: learning_rate is infinite: give a finite"),
    "several rates": (
        lambda: opt.sgd(jnp.arange(8.0)),
        ValueError,
        r"sgd: learning_rate has shape \(8,\).*jax.vmap\(lambda learning_rate: sgd\(learning_rate\)\)\(values\)",
    ),
    "several rates, adam": (lambda: opt.adam(0.1, b1=jnp.ones(3)), ValueError, r"vmap\(lambda b1: adam\(b1=b1\)\)"),
    "axes": (lambda: opt.adamw(0, None, None), TypeError, r"adamw: b1 is None: .* jax.vmap\(lambda b1: adamw\("),
    "eps none": (lambda: opt.rmsprop(0.1, eps=None), TypeError, "rmsprop: eps is None: give a number or a schedule"),
    "changed to text": (
        lambda: opt.with_settings(opt.sgd(0.1).init(jnp.ones(2)), learning_rate="x"),
        TypeError,
        "with_settings: learning_rate='x' is a str: give a number or a schedule",
    ),
    "changed to none": (
        lambda: opt.with_settings(opt.sgd(0.1).init(jnp.ones(2)), learning_rate=None),
        TypeError,
        "with_settings: learning_rate=None is static",
    ),
    "changed to a function": (
        lambda: opt.with_settings(opt.sgd(0.1).init(jnp.ones(2)), learning_rate=lambda n: 0.1),
        TypeError,
        r"with_settings: learning_rate=<function .*swap\(tx, state, params\)",
    ),
    "mask text": (
        lambda: opt.adamw(0.1, mask={"b": "no", "w": True}),
        TypeError,
        r"adamw: mask: \['b'\] is 'no': give True for what decays",
    ),
    "mask number": (lambda: opt.lion(0.1, mask={"b": 1}), TypeError, r"lion: mask: \['b'\] is 1: give True"),
    "mask tree": (
        lambda: opt.adamw(0.1, mask={"c": True}).init({"b": jnp.ones(2), "w": jnp.ones(2)}),
        ValueError,
        r"the mask is not shaped like the parameters: it has \['c'\], the parameters have \['b'\], \['w'\]",
    ),
    "mask of a function": (
        lambda: opt.adadelta(weight_decay=0.1, weight_decay_mask=lambda p: "all").init(jnp.ones(2)),
        TypeError,
        "adadelta: mask: the mask is 'all'",
    ),
    "capital": (lambda: opt.adamW(0.1), AttributeError, "has no attribute 'adamW': did you mean 'adamw'?"),
    "of optax": (lambda: opt.adabelief(0.1), AttributeError, r"optax has it: use lift\(optax.adabelief\)"),
    "of contrib": (lambda: opt.muon(0.1), AttributeError, r"optax has it: use lift\(optax.contrib.muon\)"),
    "wrapper of optax": (lambda: opt.MultiSteps, AttributeError, r"optax; here it is optimizers.accumulate$"),
    "partition of optax": (lambda: opt.partition, AttributeError, "here it is optimizers.partition_by_path"),
    "settings of optax": (lambda: opt.inject_hyperparams, AttributeError, "here it is optimizers.with_settings"),
    "module of optax": (lambda: opt.losses, AttributeError, r"optax has it: use optax.losses$"),
    "catalogue": (lambda: opt.CATALOGUE["adamm"], KeyError, "unknown optimizer 'adamm': did you mean 'adam'"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_wrong_arguments(call: tuple[Any, type[Exception], str]) -> None:
    function, kind, message = call
    with pytest.raises(kind, match=message):
        function()


FLAGS = [
    (row.function, name)
    for row in opt.CATALOGUE.values()
    for name, parameter in inspect.signature(row.function).parameters.items()
    if isinstance(parameter.default, bool)
]


@pytest.mark.parametrize("function, name", FLAGS + [(opt.exponential_decay, "staircase")])
def test_flags_are_true_or_false(function: Any, name: str) -> None:
    numbers = (0.1,) if function is not opt.exponential_decay else (0.1, 10, 0.5)
    for value in (None, "no", sweeps.choice([True, False])):
        with pytest.raises(TypeError, match=rf"{name}=.* is a .*: give True or False.*choice\(\["):
            function(*numbers, **{name: value})


def test_flags_may_be_arrays() -> None:
    for true in (1, np.True_, jnp.array(True)):
        assert opt.sgd(0.1, momentum=0.5, nesterov=true) == opt.sgd(0.1, momentum=0.5, nesterov=True)


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


def test_no_printed_address() -> None:
    tx = opt.adam(0.1)
    assert (repr(tx.init), repr(tx.update)) == ("<init of adam>", "<update of adam>")


def test_vmap_builds_one_optimizer_for_each_number() -> None:
    rates, params = jnp.array([0.1, 0.2, 0.3]), jnp.array([1.0, -2.0])

    def step(tx: opt.Transform) -> jax.Array:
        return tx.update(params, tx.init(params), params)[0]

    alone = jnp.stack([step(opt.adamw(rate)) for rate in rates])
    assert jnp.allclose(jax.vmap(lambda rate: step(opt.adamw(rate)))(rates), alone)
    assert jnp.allclose(jax.vmap(step)(jax.vmap(opt.adamw)(rates)), alone)


@pytest.mark.parametrize("mask", [{"b": False, "w": True}, {"b": None, "w": True}, {"b": jnp.array(False), "w": True}])
def test_masks(mask: Any) -> None:
    params = {"b": jnp.ones(2), "w": {"x": jnp.ones(2)}}
    grads = jax.tree.map(jnp.zeros_like, params)
    for tx in (opt.adamw(0.1, weight_decay=1.0, mask=mask), opt.lion(0.1, weight_decay=1.0, mask=lambda p: mask)):
        updates, _ = tx.update(grads, tx.init(params), params)
        assert updates["b"].tolist() == [0, 0]
        assert updates["w"]["x"].tolist() == pytest.approx([-0.1, -0.1])


def test_mask_shaped_like_a_callable_model() -> None:
    equinox = pytest.importorskip("equinox")
    model = equinox.nn.Linear(2, 1, key=jax.random.key(0))
    mask = jax.tree.map(lambda p: p.ndim > 1, model)
    grads = jax.tree.map(jnp.zeros_like, model)
    tx = opt.adamw(0.1, weight_decay=1.0, mask=mask)
    updates, _ = tx.update(grads, tx.init(model), model)
    assert jnp.array_equal(updates.bias, jnp.zeros(1))
    assert jnp.allclose(updates.weight, -0.1 * model.weight)


def test_a_mask_function_gets_none_where_the_gradient_is_none() -> None:
    tx = opt.adamw(0.1, weight_decay=1.0, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p))
    grads = {"b": jnp.zeros(2), "n": None, "w": jnp.zeros((2, 2))}
    params = {"b": jnp.ones(2), "n": 3, "w": jnp.ones((2, 2))}
    updates, _ = tx.update(grads, tx.init(params | {"n": None}), params)
    assert updates["n"] is None and not updates["b"].any()
    assert jnp.allclose(updates["w"], -0.1)


def test_a_moment_needs_the_setting_that_it_starts_at() -> None:
    settings = {"learning_rate": opt.Range(), "acc": opt.Range(optional=True)}
    rule = opt.Rule("mine", settings, {"x": opt.Moment(start="acc")}, lambda g, p, m, s: (-g, {"x": m.x}))
    for missing in ({}, {"acc": None}):
        with pytest.raises(ValueError, match="mine: the moment 'x' starts at acc, which is not given"):
            rule(learning_rate=0.1, **missing)
    assert rule(learning_rate=0.1, acc=2.0).init(jnp.ones(1)).moments["x"].tolist() == [2]
