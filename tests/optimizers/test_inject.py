"""`optax.inject_hyperparams` around our factories gives optax's numbers."""

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.optimizer_cases import CASES, Case

PARAMS = {"b": jnp.linspace(-1, 1, 3), "w": jnp.cos(jnp.arange(6.0)).reshape(2, 3)}
RATES = (0.1, 0.05, 0.2, 0.025)
# Some settings came to optax after the oldest version that we support.
WITH_OPTAX = {
    name: case
    for name, case in CASES.items()
    if case.optax is not None and set(case.settings) <= set(inspect.signature(case.optax).parameters)
}


def grads(step: int) -> Any:
    return jax.tree.map(lambda p: jnp.cos(p * (step + 1)), PARAMS)


def rate_at(count: Any) -> Any:
    return jnp.asarray(RATES)[count]


def run(tx: Any, change: Callable[[Any, int], Any] = lambda state, step: state, jit: bool = True) -> list[Any]:
    state, params, every = tx.init(PARAMS), PARAMS, []
    update = jax.jit(tx.update) if jit else tx.update
    for step in range(len(RATES)):
        updates, state = update(grads(step), change(state, step), params)
        params = optax.apply_updates(params, updates)
        every.append(params)
    return every


def assigned(state: Any, step: int) -> Any:
    state.hyperparams["learning_rate"] = jnp.float32(RATES[step])
    return state


def same(ours: Any, theirs: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), ours, theirs)


WAYS = [
    (name, way) for name, way in zip(WITH_OPTAX, itertools.cycle(["constant", "schedule", "assigned"]), strict=False)
]


@pytest.mark.parametrize("name, way", WAYS)
def test_equals_injected_optax(name: str, way: str) -> None:
    """Each case in one way: the next test has each in the two ways that change the rate."""
    case = WITH_OPTAX[name]
    rate: Any = rate_at if way == "schedule" else 0.1
    change = {"change": assigned} if way == "assigned" else {}
    ours = optax.inject_hyperparams(case.ours)(rate, **case.settings)
    theirs = optax.inject_hyperparams(case.optax)(rate, **case.settings)
    same(run(ours, **change), run(theirs, **change))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equals_the_same_schedule_without_injection(case: Case) -> None:
    injected = optax.inject_hyperparams(case.ours)
    expected = run(case(rate_at))
    same(run(injected(rate_at, **case.settings)), expected)
    same(run(injected(0.1, **case.settings), assigned), expected)


WRAPPED: dict[str, Callable[[Any], Any]] = {
    "optax.chain": lambda learning_rate: optax.chain(optax.clip(0.5), opt.adam(learning_rate)),
    "chain": lambda learning_rate: opt.chain(opt.clip(learning_rate), opt.adamw(learning_rate)),
    "guard": lambda learning_rate: opt.guard(opt.adam(learning_rate)),
    "partition": lambda learning_rate: opt.partition_by_path({"b": opt.sgd(learning_rate), ".*": opt.sgd(0.3)}),
    "lift": lambda learning_rate: opt.lift(optax.lamb)(learning_rate),
    "accumulate": lambda learning_rate: opt.accumulate(opt.adam(learning_rate), 1),
}


@pytest.mark.parametrize("make", WRAPPED.values(), ids=WRAPPED.keys())
def test_reaches_transforms_inside_wrappers(make: Callable[[Any], Any]) -> None:
    injected, expected = optax.inject_hyperparams(make), run(make(rate_at))
    for jit in (True, False):
        same(run(injected(rate_at), jit=jit), expected)
        same(run(injected(0.1), assigned, jit=jit), expected)


def test_one_trace_for_all_values_and_the_state_keeps_its_structure() -> None:
    tx = optax.inject_hyperparams(opt.adamw)(learning_rate=0.1)
    traces = []

    @jax.jit
    def update(state: Any) -> Any:
        traces.append(1)
        return tx.update(PARAMS, state, PARAMS)[1]

    state = tx.init(PARAMS)
    for rate in RATES:
        state.hyperparams["learning_rate"] = jnp.float32(rate)
        state = update(state)
        assert float(opt.settings(state)["inner_state.learning_rate"]) == np.float32(rate)
    assert len(traces) == 1
    jax.lax.scan(
        lambda state, g: (tx.update(g, state, PARAMS)[1], None), state, jax.tree.map(lambda p: p[None], PARAMS)
    )


def test_static_arguments_and_dtypes() -> None:
    mask = lambda params: {"b": False, "w": True}  # noqa: E731
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    ours, theirs = (
        optax.inject_hyperparams(module.adamw, static_args=("mask", "mu_dtype"), hyperparam_dtype=jnp.float32)(
            learning_rate=rate_at, weight_decay=0.5, mask=mask, mu_dtype=jnp.float32
        )
        for module in (opt, optax)
    )
    updates, _ = ours.update(params, ours.init(params), params)
    expected, _ = theirs.update(params, theirs.init(params), params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=1e-2), updates, expected
    )
    partial = optax.inject_hyperparams(functools.partial(opt.adam, nesterov=True))(rate_at)
    same(run(partial), run(opt.adam(rate_at, nesterov=True)))


def test_with_settings_refuses_an_injected_state() -> None:
    injected = optax.inject_hyperparams(opt.adam)(learning_rate=0.1)
    for tx in (injected, optax.chain(optax.clip(1.0), injected), opt.accumulate(injected, 2)):
        with pytest.raises(TypeError, match=r"assign state.hyperparams\[name\] instead"):
            opt.with_settings(tx.init(PARAMS), learning_rate=0.3)


def test_transforms_built_elsewhere_read_the_state() -> None:
    adam = opt.adam(jnp.float32(0.1))
    state = opt.with_settings(adam.init(PARAMS), learning_rate=0.3)
    expected, _ = opt.adam(0.3).update(PARAMS, opt.adam(0.3).init(PARAMS))
    same(adam.update(PARAMS, state)[0], expected)


def test_clip_in_a_group_uses_the_norm_of_all_groups() -> None:
    def make(learning_rate: Any) -> Any:
        clipped = opt.chain(opt.clip_by_global_norm(1.0), opt.sgd(learning_rate))
        return opt.partition_by_path({"a": clipped, ".*": opt.sgd(learning_rate)})

    params = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    injected = optax.inject_hyperparams(make)(1.0)
    updates, _ = injected.update(params, injected.init(params), params)
    same(updates, {"a": jnp.array([-0.6]), "b": jnp.array([-4.0])})


def test_the_loss_scale_of_a_guard_continues() -> None:
    def make(learning_rate: Any) -> Any:
        return opt.guard(opt.sgd(learning_rate), loss_scale=8.0)

    tx = optax.inject_hyperparams(make)(0.1)
    state, scales = tx.init(PARAMS), []
    for _ in range(3):
        _, state = tx.update(jax.tree.map(lambda p: p * jnp.nan, PARAMS), state, PARAMS)
        scales.append(float(opt.loss_scale_of(state)))
    assert scales == [4, 2, 1]


class Factory:
    def __call__(self, learning_rate: Any) -> Any:
        return opt.sgd(learning_rate)


@pytest.mark.parametrize(
    "factory",
    [
        functools.partial(opt.sgd, momentum=0.0),
        Factory(),
        Factory().__call__,
        lambda learning_rate: opt.sgd(learning_rate),
    ],
)
def test_every_kind_of_factory(factory: Any) -> None:
    same(run(optax.inject_hyperparams(factory)(0.1), assigned), run(opt.sgd(rate_at)))


def test_transforms_built_in_the_update_of_a_factory_read_their_state() -> None:
    def make(scale: Any) -> Any:
        def update(grads: Any, state: Any, params: Any = None) -> Any:
            updates, state = opt.sgd(0.5).update(grads, state, params)
            return jax.tree.map(lambda u: u * scale, updates), state

        def init(params: Any) -> Any:
            return opt.with_settings(opt.sgd(0.5).init(params), learning_rate=0.0)

        return optax.GradientTransformation(init, update)

    tx = optax.inject_hyperparams(make)(1.0)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    assert not any(np.any(u) for u in jax.tree.leaves(updates))
