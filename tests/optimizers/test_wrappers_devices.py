"""Wrappers on meshes: inside `shard_map`, with explicit axes, and lowered for accelerators."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import FLOAT32_UPDATES, SHARDED_TOLERANCE, TRANSFORMS, close, every_transform


def params(dtype: Any = jnp.float32) -> dict[str, Any]:
    return {"b": jnp.cos(jnp.arange(4.0)).astype(dtype), "w": jnp.sin(jnp.arange(16.0)).reshape(8, 2).astype(dtype)}


def three_steps(step: Any, state: Any, p: Any) -> Any:
    for k in range(3):
        updates, state = step(jax.tree.map(lambda x, k=k: x * (k + 1), p), state, p)
    return updates, state


@every_transform
def test_inside_shard_map(name: str) -> None:
    tx, p = TRANSFORMS[name], params()
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,))
    state = tx.init(p)
    specs = jax.tree.map(lambda x: P("x") if jnp.ndim(x) else P(), state)
    sharded = jax.shard_map(tx.update, mesh=mesh, in_specs=(P("x"), specs, P("x")), out_specs=(P("x"), specs))
    updates, _ = three_steps(jax.jit(sharded), state, p)
    expected, _ = three_steps(jax.jit(tx.update), state, p)
    close(updates, expected, rtol=SHARDED_TOLERANCE.get(name, 1e-5))


@pytest.mark.parametrize("name", ["accumulate", "guard"])
def test_one_bad_shard_skips_the_step_on_all(name: str) -> None:
    tx, p = TRANSFORMS[name], jnp.ones(4)
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,))
    state = tx.init(p)
    specs = jax.tree.map(lambda x: P("x") if jnp.ndim(x) else P(), state)
    step = jax.jit(jax.shard_map(tx.update, mesh=mesh, in_specs=(P("x"), specs, P("x")), out_specs=(P("x"), specs)))
    updates, state = step(p.at[0].set(jnp.nan), state, p)
    assert int(state.skipped) == 1 and not np.any(updates)


def test_accumulate_of_unsummed_gradients_inside_shard_map() -> None:
    """Replicated parameters, and a gradient of each device's part of the batch."""
    tx, p = opt.accumulate(opt.sgd(1.0), 2), jnp.ones(3)
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,))

    def train(p: Any, batch: Any) -> Any:
        state = tx.init(p)
        for k in range(2):
            local = jax.lax.pcast(p, "x", to="varying") if hasattr(jax.lax, "pcast") else jax.lax.pvary(p, "x")
            grads = jax.grad(lambda q, k=k: jnp.sum(q) * jnp.sum(batch[0, k]))(local)
            updates, state = tx.update(grads, state, p)
        return updates[None], state.finite

    batch = jnp.arange(4.0).reshape(2, 2)
    step = jax.jit(jax.shard_map(train, mesh=mesh, in_specs=(P(), P("x")), out_specs=(P("x"), P())))
    np.testing.assert_allclose(step(p, batch)[0], -np.array([[0.5] * 3, [2.5] * 3]))


@every_transform
def test_on_an_explicit_mesh(name: str) -> None:
    tx, p = TRANSFORMS[name], params(jnp.bfloat16 if name in FLOAT32_UPDATES else jnp.float32)
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Explicit,))
    expected, _ = three_steps(jax.jit(tx.update), tx.init(p), p)
    with jax.set_mesh(mesh):
        spread = jax.device_put(p, NamedSharding(mesh, P("x")))
        updates, _ = three_steps(jax.jit(tx.update), jax.jit(tx.init)(spread), spread)
    close(updates, expected, rtol=1e-4, atol=1e-5)
    assert all(u.sharding.spec[0] == "x" for u in jax.tree.leaves(updates))


@every_transform
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lowers_for_accelerators(name: str, platform: str) -> None:
    tx, p = TRANSFORMS[name], params(jnp.bfloat16)
    jax.jit(tx.update).trace(p, tx.init(p), p).lower(lowering_platforms=(platform,))
