"""The gradient of a loss with respect to the rows it uses, never the whole table."""

from collections.abc import Callable
from typing import Any

import jax


def value_and_grad(
    loss: Callable[..., Any], argnums: tuple[int, ...] = (), has_aux: bool = False
) -> Callable[..., Any]:
    """`f(table, ids, *args)` gives the value and the gradient of `loss(rows, *args)` in the rows, `table[ids]`.

    The rows have the shape of `ids` and then the features; their gradient is what `update` of a row optimizer wants.
    With `argnums` the gradients in those of `args` follow: `value, (row_grads, *grads)`. `has_aux` is as in
    `jax.value_and_grad`.

    >>> table = jnp.arange(6.0).reshape(3, 2)
    >>> value, (row_grads,) = rows.value_and_grad(lambda r: (r**2).sum())(table, jnp.array([2]))
    >>> float(value), row_grads
    (41.0, Array([[ 8., 10.]], dtype=float32))
    """
    which = (0, *(n + 1 for n in argnums))

    def from_table(table: jax.Array, ids: jax.Array, *args: Any) -> Any:
        return jax.value_and_grad(loss, argnums=which, has_aux=has_aux)(table[ids], *args)

    return from_table
