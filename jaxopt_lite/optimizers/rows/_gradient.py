"""The rows that a step uses, and the gradient of a loss with respect to them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers.rows._unique import valid_ids


def gather(table: jax.Array, ids: Any) -> jax.Array:
    """The rows of a table: `table[ids]`, and zeros for padding.

    Ids outside [0, rows), negative ones too, are padding: they read zeros here, have a zero gradient in
    `value_and_grad`, and `update` ignores them.

    Args:
        table: an array (rows, features).
        ids: integers of any shape.

    Returns:
        An array of the shape of `ids`, then the features.

    Example:
        >>> rows.gather(jnp.arange(6.0).reshape(3, 2), jnp.array([2, -1]))
        Array([[4., 5.],
               [0., 0.]], dtype=float32)
    """
    return table.at[valid_ids(jnp.asarray(ids), table.shape[0])].get(mode="fill", fill_value=0)


def value_and_grad(
    loss: Callable[..., Any], argnums: Sequence[int] = (), has_aux: bool = False
) -> Callable[..., tuple[Any, tuple[Any, ...]]]:
    """The value of a loss and its gradient with respect to the rows that it uses, never to the whole table.

    Args:
        loss: a function `loss(rows, *args)` that returns a scalar; `rows` are those of `gather(table, ids)`.
        argnums: the positions among `args` to differentiate with respect to as well, 0 for the first after `rows`.
        has_aux: whether `loss` returns a pair of the scalar and auxiliary data, as in `jax.value_and_grad`.

    Returns:
        A function `f(table, ids, *args)` that returns `value, (row_grads, *grads)`, or `(value, aux), (row_grads,
        *grads)` with `has_aux`. `row_grads` has the shape of `ids` and then the features, as `update` of a row
        optimizer expects it, and is 0 for padding.

    Example:
        >>> table = jnp.arange(6.0).reshape(3, 2)
        >>> value, (row_grads,) = rows.value_and_grad(lambda r: (r**2).sum())(table, jnp.array([2, -1]))
        >>> float(value), row_grads
        (41.0, Array([[ 8., 10.],
               [ 0.,  0.]], dtype=float32))
    """
    positions = (0, *(n + 1 for n in argnums))

    def from_table(table: jax.Array, ids: Any, *args: Any) -> tuple[Any, tuple[Any, ...]]:
        is_row = valid_ids(jnp.asarray(ids), table.shape[0]) < table.shape[0]

        def masked(rows: jax.Array, *args: Any) -> Any:
            return loss(jnp.where(is_row[..., None], rows, jnp.zeros_like(rows)), *args)

        return jax.value_and_grad(masked, argnums=positions, has_aux=has_aux)(gather(table, ids), *args)

    return from_table
