"""The embedding layer trains as a dense table does, in one trace, and writes only the rows it used."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lite import optimizers as opt
from jaxopt_lite.flax import Embedding, Optimizer, Rows
from jaxopt_lite.optimizers import rows


class Model(nnx.Module):
    def __init__(self, tx: Any) -> None:
        rngs = nnx.Rngs(0)
        self.embed = Embedding(20, 4, tx=tx, rngs=rngs)
        self.head = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, ids: Any = None) -> jax.Array:
        return self.head(self.embed(ids).mean(-2))


@pytest.mark.parametrize("name", ["adagrad", "adam"])
def test_trains_as_a_dense_table(name: str) -> None:
    model = Model(getattr(rows, name)(0.1, **({"catch_up": True} if name == "adam" else {})))
    optimizer = Optimizer(model, opt.sgd(0.1))
    table, dense = model.embed.table[...], getattr(opt, name)(0.1)
    head, state = nnx.state(model.head), dense.init(model.embed.table[...])
    kernel, bias = head["kernel"][...], head["bias"][...]
    traces = []

    @nnx.jit
    def step(model: Any, optimizer: Any, ids: Any) -> None:
        traces.append(1)
        model.embed.gather(ids)
        wrt = nnx.DiffState(0, nnx.Any(nnx.Param, Rows))
        grads = nnx.grad(lambda m: jnp.sum(m() ** 2), argnums=wrt)(model)
        model.embed.update(grads["embed"]["rows"])
        optimizer.update(model, grads)

    def loss(table: Any, kernel: Any, bias: Any, ids: Any) -> Any:
        return jnp.sum((table[ids].mean(-2) @ kernel + bias[None]) ** 2)

    for k in range(4):
        ids = jnp.array([[k, 3, 3], [5, k, 7]])
        step(model, optimizer, ids)
        g = jax.grad(loss, argnums=(0, 1, 2))(table, kernel, bias, ids)
        updates, state = dense.update(g[0], state)
        table, kernel, bias = table + updates, kernel - 0.1 * g[1], bias - 0.1 * g[2]
    model.embed.catch_up()
    np.testing.assert_allclose(model.embed.table[...], table, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(jnp.array([[1, 2, 3]])), (table[1:4].mean(0) @ kernel + bias)[None], rtol=1e-4)
    assert len(traces) == 1


def made(**options: Any) -> Embedding:
    return Embedding(20, 4, tx=rows.sgd(1.0, **options), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("padding", [-1, -20, 20, 1000])
def test_an_id_outside_the_table_is_padding(padding: int) -> None:
    layer, ids = made(), jnp.array([[2, padding]])
    np.testing.assert_array_equal(layer(ids), jnp.stack([layer.table[...][2], jnp.zeros(4)])[None])
    layer.gather(ids)
    np.testing.assert_array_equal(layer(), layer(ids))
    before = layer.table[...]
    layer.update(nnx.grad(lambda m: m().sum(), argnums=nnx.DiffState(0, Rows))(layer)["rows"])
    np.testing.assert_allclose(before - layer.table[...], jnp.zeros((20, 4)).at[2].set(1.0), atol=1e-6)


def test_a_step_without_gather_is_an_error() -> None:
    layer = made()
    with pytest.raises(RuntimeError, match="Embedding called without ids: no rows are gathered"):
        layer()
    grads = nnx.grad(lambda m: m(jnp.array([1])).sum(), argnums=nnx.DiffState(0, Rows))(layer)
    with pytest.raises(RuntimeError, match=r"Embedding.update: no rows are gathered; .* call gather"):
        layer.update(grads["rows"])


@pytest.mark.parametrize("wrt", [nnx.Param, nnx.Any(nnx.Param, Rows)])
def test_an_optimizer_step_that_leaves_the_table_out_is_an_error(wrt: Any) -> None:
    model = Model(rows.sgd(0.1))
    optimizer = Optimizer(model, opt.sgd(0.1))
    grads = nnx.grad(lambda m: jnp.sum(m(jnp.array([[1, 2]])) ** 2), argnums=nnx.DiffState(0, wrt))(model)
    with pytest.raises(ValueError, match=r"grads has no gradient of its rows"):
        optimizer.update(model, grads)


@pytest.mark.parametrize("tx", [opt.sgd(0.1), rows.sgd, None])
def test_a_tx_that_is_no_row_optimizer(tx: Any) -> None:
    with pytest.raises(TypeError, match=r"not a row optimizer; give one of jaxopt_lite.optimizers.rows"):
        Embedding(20, 4, tx=tx, rngs=nnx.Rngs(0))


def test_padding_reads_zeros() -> None:
    layer, ids = made(), jnp.array([2, -1, 20])
    layer.gather(ids)
    for values in (layer(), layer(ids)):
        np.testing.assert_array_equal(values, layer.table[...].at[2].get()[None] * jnp.array([[1.0], [0.0], [0.0]]))
