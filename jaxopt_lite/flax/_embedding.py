"""An embedding layer whose training step costs what its rows cost, however large the table."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lite.flax._signature import Signature
from jaxopt_lite.optimizers import rows


def put(variable: Any, value: Any) -> None:
    """Set a value of any shape; Flax 0.11 has no `set_value`."""
    if hasattr(variable, "set_value"):
        variable.set_value(value)
    else:
        variable.value = value


class Table(nnx.Variable):
    """The rows of an embedding. Not an `nnx.Param`: a gradient of the whole table would cost as much as the table."""


class Rows(nnx.Variable):
    """The gathered rows of an `Embedding`, in which the loss is differentiated.

    Example:
        >>> layer = Embedding(10, 2, tx=rows.sgd(1.0), rngs=nnx.Rngs(0))
        >>> layer.gather(jnp.array([3, 4]))
        >>> grads = nnx.grad(lambda m: m().sum(), argnums=nnx.DiffState(0, Rows))(layer)
        >>> grads["rows"].shape
        (2, 2)
    """


class RowState(nnx.Variable):
    """The state of the row optimizer of an `Embedding`."""


class Embedding(Signature, nnx.Module):
    """An embedding table with a row optimizer: a step reads and writes only the rows it uses.

    A training step has three calls: `gather(ids)`; the gradient of the loss in `nnx.Any(nnx.Param, Rows)`, where
    calling the layer without ids gives the gathered rows; `update(grads)` with the gradient of the layer's `rows`. Jit
    the step with the model donated, else the table is copied. For evaluation, call the layer with ids.

    Args:
        num_embeddings: number of rows.
        features: length of each row.
        tx: a row optimizer of `jaxopt_lite.optimizers.rows`, as `rows.adam(1e-3)`.
        rngs: random streams; the stream "params" draws the table, from a normal distribution of variance 1/features.
        dtype: dtype of the table. Default float32.

    Raises:
        TypeError: `tx` is not a row optimizer.

    Example:
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
        if not isinstance(tx, rows.RowTransform):
            raise TypeError(
                f"Embedding: tx is {tx!r}, which is not a row optimizer; give one of jaxopt_lite.optimizers.rows, as "
                "rows.adam(1e-3)"
            )
        table = jax.random.normal(rngs.params(), (num_embeddings, features), dtype) * features**-0.5
        self.table = Table(table)
        self.state = nnx.data(jax.tree.map(RowState, tx.init(table)))
        # Functions of the structure alone: the settings are in the state.
        self.step, self.late = tx.update, tx.catch_up
        # The same shapes between all steps, so that a jitted step is traced once.
        self.ids = nnx.Variable(jnp.zeros((0,), jnp.int32))
        self.rows = Rows(jnp.zeros((0, features), dtype))

    def __call__(self, ids: jax.Array | None = None) -> jax.Array:
        """Look rows up.

        Args:
            ids: integers of any shape. An id outside [0, num_embeddings) is padding: its row is zero. Default None: the
                gathered rows, as leaves of the gradient.

        Returns:
            An array of shape (*ids.shape, features).

        Raises:
            RuntimeError: without ids, if no rows have been gathered.
        """
        if ids is not None:
            return _lookup(self.table[...], ids)
        self._check_gathered("Embedding called without ids")
        return self.rows[...]

    def gather(self, ids: jax.Array) -> None:
        """Look up the rows of a training step and keep them in the layer for the gradient.

        Args:
            ids: integers of any shape; padding as in a call. Repeated ids are allowed: their gradients are summed.
        """
        put(self.ids, ids)
        put(self.rows, _lookup(self.table[...], ids))

    def update(self, grads: Any) -> None:
        """Do one step of the row optimizer on the gathered rows, and forget them.

        Args:
            grads: the gradient of the loss in this layer's `rows`, shape (*ids.shape, features); padding has no effect.

        Raises:
            RuntimeError: no rows have been gathered, so that the gradient is empty.
        """
        self._check_gathered("Embedding.update")
        state, treedef = jax.tree.flatten(self.state, is_leaf=lambda x: isinstance(x, RowState))
        before = jax.tree.unflatten(treedef, [v[...] for v in state])
        g = grads[...] if isinstance(grads, nnx.Variable) else grads
        table, after = self.step(self.table[...], before, self.ids[...], g)
        self._keep(table, after)
        put(self.ids, jnp.zeros((0,), jnp.int32))
        put(self.rows, jnp.zeros((0, table.shape[1]), table.dtype))

    def catch_up(self) -> None:
        """Bring every row up to date, before the whole table is evaluated or saved.

        Only optimizers that postpone steps need it, as `rows.adam(..., catch_up=True)`; the others do nothing here.
        """
        state, treedef = jax.tree.flatten(self.state, is_leaf=lambda x: isinstance(x, RowState))
        self._keep(*self.late(self.table[...], jax.tree.unflatten(treedef, [v[...] for v in state])))

    def _check_gathered(self, what: str) -> None:
        if self.rows[...].size == 0:
            raise RuntimeError(
                f"{what}: no rows are gathered; in a training step call gather(ids) first, or the table is not trained"
            )

    def _keep(self, table: jax.Array, after: Any) -> None:
        put(self.table, table)
        variables = jax.tree.leaves(self.state, is_leaf=lambda x: isinstance(x, RowState))
        for variable, value in zip(variables, jax.tree.leaves(after), strict=True):
            put(variable, value)


def _lookup(table: jax.Array, ids: jax.Array) -> jax.Array:
    ids = jnp.asarray(ids)
    inside = (ids >= 0) & (ids < table.shape[0])
    return jnp.where(inside[..., None], table.at[ids].get(mode="clip"), 0)


def without_rows(model: Any, grads: Any) -> bool:
    """Whether the model has an `Embedding`, but no gradient in its rows."""
    return bool(jax.tree.leaves(nnx.state(model, Table))) and not any(
        leaf.size for leaf in jax.tree.leaves(nnx.filter_state(grads, Rows))
    )
