"""Wrappers with gradients of `None`, empty trees, mixed dtypes under strict promotion, and wrong settings."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import FLOAT32_UPDATES, TRANSFORMS, close, every_transform, tree
from tests.precision import double


def steps(tx: Any, state: Any, grads: Any, params: Any, n: int = 4) -> Any:
    for _ in range(n):
        updates, state = tx.update(grads, state, params)
    return updates, state


@every_transform
def test_a_gradient_of_none_leaves_the_rest_alone(name: str) -> None:
    """Parameters without a gradient may be anything: an integer, a function, an array that is not trained."""
    tx, trained = TRANSFORMS[name], tree(0)
    grads = {**tree(1), "i": None, "n": [None, None]}
    state = tx.init({**trained, "i": None, "n": [None, None]})
    updates, after = steps(tx, state, grads, {**trained, "i": 3, "n": [jnp.tanh, jnp.arange(3)]})
    expected, _ = steps(tx, tx.init(trained), tree(1), trained)
    assert updates["i"] is None and updates["n"] == [None, None]
    close({"b": updates["b"], "w": updates["w"]}, expected)
    assert jax.tree.structure(after) == jax.tree.structure(state)


# Optax's code decides about its state, and promotes dtypes.
every_own_transform = pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "lift"])


@every_own_transform
def test_a_frozen_parameter_keeps_its_state(name: str) -> None:
    tx, params = TRANSFORMS[name], {**tree(0), "frozen": jnp.ones(4)}
    state = tx.init(params)
    updates, after = steps(tx, state, {**tree(1), "frozen": None}, params)
    assert updates["frozen"] is None and np.any(updates["w"])
    assert jax.tree.structure(after) == jax.tree.structure(state)
    updates, _ = steps(tx, after, {**tree(1), "frozen": jnp.ones(4)}, params)
    assert np.any(updates["frozen"])


@every_transform
def test_an_empty_tree(name: str) -> None:
    tx: Any = TRANSFORMS[name]
    updates, _ = steps(tx, tx.init({}), {}, {})
    assert updates == {}


@every_own_transform
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("x64", [False, True])
def test_strict_dtype_promotion(name: str, dtype: Any, x64: bool) -> None:
    tx, expected = TRANSFORMS[name], jnp.float32 if name in FLOAT32_UPDATES else dtype
    with jax.numpy_dtype_promotion("strict"), double() if x64 else contextlib.nullcontext():
        updates, _ = jax.eval_shape(lambda g, p: tx.update(g, tx.init(p), p), tree(1, dtype), tree(0, dtype))
    assert all(u.dtype == expected for u in jax.tree.leaves(updates))


@every_transform
def test_updates_have_the_wider_dtype(name: str) -> None:
    tx = TRANSFORMS[name]
    for g, p in ((jnp.float16, jnp.float32), (jnp.float32, jnp.bfloat16)):
        updates, _ = jax.eval_shape(lambda g, p: tx.update(g, tx.init(p), p), tree(1, g), tree(0, p))
        assert all(u.dtype == jnp.float32 for u in jax.tree.leaves(updates))


def test_mean_gradients_of_a_model_with_other_leaves() -> None:
    params = {"w": jnp.ones(3), "n": 2}

    def gradient(params: Any, batch: Any) -> Any:
        return {"w": batch * params["n"], "n": None}

    mean = opt.mean_gradients(gradient, params, jnp.ones((4, 3)))
    assert mean["n"] is None
    np.testing.assert_array_equal(mean["w"], 2)


NONE: dict[str, Any] = {
    "clip: max_delta": lambda: opt.clip(None),
    "clip_by_global_norm: max_norm": lambda: opt.clip_by_global_norm(None),
    "clip_by_block_rms: threshold": lambda: opt.clip_by_block_rms(None),
    "accumulate: steps": lambda: opt.accumulate(opt.sgd(0.1), None),
    "average: begin": lambda: opt.average(opt.sgd(0.1), begin=None),
    "guard: decay": lambda: opt.guard(opt.sgd(0.1), decay=None),
    "guard: warmup": lambda: opt.guard(opt.sgd(0.1), warmup=None),
    "guard: patience": lambda: opt.guard(opt.sgd(0.1), patience=None),
    "guard: growth_interval": lambda: opt.guard(opt.sgd(0.1), growth_interval=None),
    "stochastic_rounding: seed": lambda: opt.stochastic_rounding(opt.sgd(0.1), seed=None),
}


@pytest.mark.parametrize("setting", NONE)
def test_none_is_no_setting(setting: str) -> None:
    with pytest.raises(TypeError, match=f"{setting} is None: give a number or a schedule"):
        NONE[setting]()


def test_parameters_that_cannot_be_trained_are_named() -> None:
    for wrap in (opt.split_master, opt.stochastic_rounding, opt.average, lambda tx: opt.accumulate(tx, 2)):
        with pytest.raises(TypeError, match=r"\.init: \['n'\] is a Python int: give floating arrays only"):
            wrap(optax.sgd(0.1)).init({"n": 3})
