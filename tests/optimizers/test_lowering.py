"""Optimizers and row optimizers lower for GPUs and TPUs; wrappers do in `test_wrappers_devices`."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import export

from jaxopt_lite.optimizers import rows
from tests.optimizers.optimizer_cases import CASES

PLATFORMS = ("cuda", "tpu")
ROWS = {
    "sgd": rows.sgd(0.1),
    "adagrad": rows.adagrad(0.1),
    "adam": rows.adam(0.1),
    "adam with catch-up": rows.adam(0.1, catch_up=True),
}


def lower(function: Any, *arguments: Any) -> None:
    assert export.export(jax.jit(function), platforms=PLATFORMS)(*arguments).platforms == PLATFORMS


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_optimizers_lower(dtype: Any) -> None:
    """One program of all rows of the table."""
    params = {"b": jnp.ones(4, dtype), "w": jnp.ones((4, 8), dtype)}

    def updates(params: Any) -> dict[str, Any]:
        found = {}
        for name, case in CASES.items():
            try:
                found[name] = case().update(params, case().init(params), params)
            except Exception as error:
                error.add_note(f"in the row {name}")
                raise
        return found

    lower(updates, params)


@pytest.mark.parametrize("name", ROWS)
def test_row_optimizers_lower(name: str) -> None:
    tx, table, ids = ROWS[name], jnp.ones((10, 3)), jnp.arange(4)

    def step(table: Any, state: Any) -> Any:
        _, (gradient,) = rows.value_and_grad(lambda taken: jnp.sum(taken**2))(table, ids)
        table, state = tx.update(table, state, ids, gradient)
        return tx.catch_up(table, state)

    lower(step, table, tx.init(table))
