"""An embedding of which a step touches few rows: the gradient and the update know only those."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lite.flax._signature import Signature
from jaxopt_lite.optimizers import rows


def _put(variable: Any, value: Any) -> None:
    """A new value of any shape; flax 0.11 had no `set_value`."""
    if hasattr(variable, "set_value"):
        variable.set_value(value)
    else:
        variable.value = value


class Table(nnx.Variable):
    """The rows of an embedding: not an `nnx.Param`, as no gradient of the whole table is ever taken."""


class Rows(nnx.Variable):
    """The rows gathered for this step: what the loss is differentiated in."""


class RowState(nnx.Variable):
    """The state of the table's own optimizer."""


class Embedding(Signature, nnx.Module):
    """An embedding table with its own row optimizer.

    `nnx.Embed` and a dense optimizer write the whole table at every step, here a step costs what its rows cost.
    Within a step, first `gather(ids)`; then differentiate the loss in `nnx.Any(nnx.Param, Rows)`, where calling the
    layer gives the gathered rows; then `update(grads)` with the gradient of this layer's `rows`. Without `gather` the
    layer is a plain lookup.

    `num_embeddings` rows of `features` numbers, drawn from a normal distribution of variance 1/features; `tx` is one of
    `jaxopt_lite.optimizers.rows`. Jit the step with the model donated, or the table is copied.

    >>> layer = Embedding(10, 2, tx=rows.sgd(1.0), rngs=nnx.Rngs(0))
    >>> layer.gather(jnp.array([3, 3]))
    >>> grads = nnx.grad(lambda m: m().sum(), argnums=nnx.DiffState(0, Rows))(layer)
    >>> before = layer.table[...][3]
    >>> layer.update(grads["rows"])
    >>> before - layer.table[...][3]
    Array([2., 2.], dtype=float32)
    """

    def __init__(
        self, num_embeddings: int, features: int, *, tx: rows.RowTransform, rngs: nnx.Rngs, dtype: Any = jnp.float32
    ) -> None:
        table = jax.random.normal(rngs.params(), (num_embeddings, features), dtype) * features**-0.5
        self.table = Table(table)
        self.state = nnx.data(jax.tree.map(RowState, tx.init(table)))
        # Functions of the structure alone: the settings stand in the state.
        self.step, self.late = tx.update, tx.catch_up
        # Of fixed shape between the steps, so that a jitted step is traced once.
        self.ids = nnx.Variable(jnp.zeros((0,), jnp.int32))
        self.rows = Rows(jnp.zeros((0, features), dtype))

    def __call__(self, ids: Any = None) -> jax.Array:
        """The rows of `ids`; without them, those that `gather` took."""
        return self.rows[...] if ids is None else self.table[...][ids]

    def gather(self, ids: jax.Array) -> None:
        """Take the rows of this step."""
        _put(self.ids, ids)
        _put(self.rows, self.table[...][ids])

    def update(self, grads: Any) -> None:
        """One step of the row optimizer on the gathered rows, which are let go."""
        state, treedef = jax.tree.flatten(self.state, is_leaf=lambda x: isinstance(x, RowState))
        held = jax.tree.unflatten(treedef, [v[...] for v in state])
        g = grads[...] if isinstance(grads, nnx.Variable) else grads
        table, after = self.step(self.table[...], held, self.ids[...], g)
        self._keep(table, after)
        _put(self.ids, jnp.zeros((0,), jnp.int32))
        _put(self.rows, jnp.zeros((0, table.shape[1]), table.dtype))

    def catch_up(self) -> None:
        """Bring every row up to date, before the whole table is evaluated or saved."""
        state, treedef = jax.tree.flatten(self.state, is_leaf=lambda x: isinstance(x, RowState))
        self._keep(*self.late(self.table[...], jax.tree.unflatten(treedef, [v[...] for v in state])))

    def _keep(self, table: jax.Array, after: Any) -> None:
        _put(self.table, table)
        held = jax.tree.leaves(self.state, is_leaf=lambda x: isinstance(x, RowState))
        for variable, value in zip(held, jax.tree.leaves(after), strict=True):
            _put(variable, value)
