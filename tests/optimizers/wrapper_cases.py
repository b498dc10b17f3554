"""The wrappers and the transforms inside them that the tests are parametrised by."""

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
# Every wrapper around an optimizer that needs the parameters.
TRANSFORMS: dict[str, Any] = {
    "accumulate": opt.accumulate(opt.adamw(0.1), 2),
    "average": opt.average(opt.adamw(0.1), 0.9),
    "chain": opt.chain(opt.clip(10.0), opt.adamw(0.1)),
    "clip_by_block_rms": opt.chain(opt.clip_by_block_rms(1e3), opt.sgd(0.1)),
    "clip_by_global_norm": opt.chain(opt.clip_by_global_norm(1e3), opt.sgd(0.1)),
    "compress": opt.compress(opt.adamw(0.1), min_size=1),
    "guard": opt.guard(opt.adamw(0.1), max_spike=1e3, loss_scale=2.0),
    "lift": opt.lift(optax.adamw)(0.1),
    "partition_by_path": opt.partition_by_path({"b": opt.sgd(0.1), ".*": opt.adamw(0.1)}),
    "split_master": opt.split_master(opt.adamw(0.1)),
    "stochastic_rounding": opt.stochastic_rounding(opt.adamw(0.1)),
}
# These give float32 updates of parameters in half precision, so that their sum is the rounded parameter.
FLOAT32_UPDATES = frozenset({"split_master", "stochastic_rounding"})
# Each shard draws the random bits of its part of an array, so that updates differ by the coarseness of the code.
SHARDED_TOLERANCE = {"compress": 0.5}
every_transform = pytest.mark.parametrize("name", TRANSFORMS)


def tree(seed: int, dtype: Any = jnp.float32) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"b": jnp.asarray(rng.normal(size=3), dtype), "w": jnp.asarray(rng.normal(size=(2, 3)), dtype)}


def close(a: Any, b: Any, **bounds: Any) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **({"rtol": 1e-5, "atol": 1e-7} | bounds)), a, b)
