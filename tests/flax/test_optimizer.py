"""The NNX optimizer: arrays and tracers as settings, one trace for all of them, and the same numbers as elsewhere."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_lite import optimizers as opt
from jaxopt_lite.flax import Optimizer

X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)


def made(tx: Any) -> tuple[Any, Optimizer]:
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    return model, Optimizer(model, tx)


def step(model: Any, optimizer: Any) -> None:
    grads = nnx.grad(lambda m: (m(X) ** 2).mean())(model)
    optimizer.update(model, grads)


def test_one_trace_for_any_setting() -> None:
    traces = []

    @nnx.jit
    def jitted(model: Any, optimizer: Any) -> None:
        traces.append(1)
        step(model, optimizer)

    for rate in (0.1, jnp.float32(0.2)):
        for decay in (0.0, 0.1, 0.2, 0.3):
            model, optimizer = made(opt.adamw(rate, weight_decay=decay))
            jitted(model, optimizer)
    assert len(traces) == 1
    optimizer.set(learning_rate=0.5, weight_decay=0.25)
    jitted(model, optimizer)
    assert len(traces) == 1
    assert float(optimizer.settings["learning_rate"]) == 0.5


def test_same_numbers_as_nnx_with_optax() -> None:
    model, optimizer = made(opt.adam(0.1))
    other = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    reference = nnx.Optimizer(other, optax.adam(0.1), wrt=nnx.Param)
    for _ in range(3):
        step(model, optimizer)
        step(other, reference)
    np.testing.assert_allclose(nnx.state(model)["kernel"][...], nnx.state(other)["kernel"][...], rtol=1e-5)


def test_ours_works_in_the_plain_nnx_optimizer() -> None:
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    before = np.asarray(model.kernel[...])
    step(model, nnx.Optimizer(model, opt.chain(optax.clip(1.0), opt.adam(0.1)), wrt=nnx.Param))
    assert np.abs(model.kernel[...] - before).max() == pytest.approx(0.1, rel=1e-3)


@pytest.mark.skipif(not hasattr(nnx, "as_pure"), reason="variables of Flax 0.11 cannot have NamedTuples as values")
def test_compressed_states_work_in_the_plain_nnx_optimizer() -> None:
    model, other = (nnx.Linear(2, 3, rngs=nnx.Rngs(0)) for _ in range(2))
    optimizer = nnx.Optimizer(model, opt.compress(opt.adam(0.1), min_size=2), wrt=nnx.Param)
    reference = nnx.Optimizer(other, opt.adam(0.1), wrt=nnx.Param)
    for _ in range(3):
        step(model, optimizer)
        step(other, reference)
    np.testing.assert_allclose(model.kernel[...], other.kernel[...], atol=0.05)
    assert any(leaf.dtype == jnp.uint8 for leaf in jax.tree.leaves(nnx.state(optimizer)))


def test_made_in_one_vmap_and_used_in_another() -> None:
    rates = jnp.array([0.1, 0.01])
    model, optimizer = nnx.vmap(lambda rate: made(opt.adam(rate)))(rates)
    nnx.vmap(step)(model, optimizer)
    for i, rate in enumerate(rates):
        alone, its = made(opt.adam(float(rate)))
        step(alone, its)
        np.testing.assert_allclose(model.kernel[...][i], alone.kernel[...], rtol=1e-6)


@pytest.mark.parametrize("rate", [opt.exponential_decay(0.1, 1, 0.5), lambda count: 0.1 * 0.5**count])
def test_schedules(rate: Any) -> None:
    model, optimizer = made(opt.sgd(rate))
    sizes = []
    for _ in range(3):
        before = model.kernel[...]
        grads = nnx.grad(lambda m: m(X).sum())(model)
        optimizer.update(model, grads)
        sizes.append(float(jnp.abs(model.kernel[...] - before).max()))
    np.testing.assert_allclose(np.divide(sizes[1:], sizes[:-1]), 0.5, rtol=1e-4)


@pytest.mark.parametrize("where", ["eagerly", "under jit", "in a chain"])
def test_a_schedule_in_the_place_of_a_number(where: str) -> None:
    tx = opt.chain(opt.clip(1e9), opt.adam(0.5)) if where == "in a chain" else opt.adam(0.5)
    model, optimizer = made(tx)
    other, reference = made(opt.adam(opt.exponential_decay(0.5, 2, 0.5)))
    run = nnx.jit(step) if where == "under jit" else step

    def change(optimizer: Any) -> None:
        optimizer.set(learning_rate=opt.exponential_decay(0.5, 2, 0.5))

    for k in range(4):
        if k == 0:
            (nnx.jit(change) if where == "under jit" else change)(optimizer)
        run(model, optimizer)
        step(other, reference)
        np.testing.assert_allclose(model.kernel[...], other.kernel[...], rtol=1e-5, atol=1e-6)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(nnx.state(optimizer)))
    optimizer.set(learning_rate=0.25)
    name = "1.learning_rate" if where == "in a chain" else "learning_rate"
    assert float(optimizer.settings[name]) == 0.25
    run(model, optimizer)


@pytest.mark.parametrize(
    ("tx", "advice"),
    [
        (opt.adamw, r"call it first, as in adamw"),
        (optax.adam, "adam"),
        (1e-3, "give one"),
        ("adam", "give one"),
    ],
)
def test_what_is_not_an_optimizer(tx: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=rf"is not an optimizer; .*{advice}"):
        made(tx)


def test_state_of_the_optimizer_is_variables() -> None:
    _, optimizer = made(opt.adam(0.1))
    leaves = jax.tree.leaves(nnx.state(optimizer))
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)


WRAPPED: dict[str, Any] = {
    "partition": opt.partition_by_path({"bias": opt.sgd(0.1), ".*": opt.adam(0.1)}),
    "guard": opt.guard(opt.adam(0.1), max_spike=10.0),
    "accumulate": opt.accumulate(opt.adam(0.1), 1),
    "average": opt.average(opt.adam(0.1), 0.9),
    "lift": opt.lift(optax.lamb)(0.1),
    "compress": opt.compress(opt.adam(0.1), min_size=2),
    "stochastic_rounding": opt.stochastic_rounding(opt.adam(0.1)),
    "split_master": opt.split_master(opt.adam(0.1)),
}

if not hasattr(nnx, "as_pure"):  # variables of Flax 0.11 cannot have NamedTuples as values
    del WRAPPED["compress"]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers(name: str, dtype: Any) -> None:
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0), param_dtype=dtype)
    optimizer = Optimizer(model, WRAPPED[name])
    traces, before = [], np.asarray(model.kernel[...], np.float32)

    @nnx.jit
    def jitted(model: Any, optimizer: Any) -> None:
        traces.append(1)
        step(model, optimizer)

    for _ in range(3):
        jitted(model, optimizer)
    assert len(traces) == 1
    assert model.kernel[...].dtype == dtype
    assert np.abs(np.asarray(model.kernel[...], np.float32) - before).max() > 0.05


def test_a_model_without_variables_is_an_error():
    with pytest.raises(TypeError, match="model is a dict without variables"):
        Optimizer({"a": 1}, opt.adam(0.1))
