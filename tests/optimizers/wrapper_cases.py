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


def tree(seed: int, dtype: Any = jnp.float32) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"b": jnp.asarray(rng.normal(size=3), dtype), "w": jnp.asarray(rng.normal(size=(2, 3)), dtype)}


def close(a: Any, b: Any, **bounds: Any) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **({"rtol": 1e-5, "atol": 1e-7} | bounds)), a, b)
