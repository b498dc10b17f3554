"""Row numbers without repetition, and the sums of their gradients, in fixed shapes."""

import jax
import jax.numpy as jnp


def valid_ids(ids: jax.Array, rows: int) -> jax.Array:
    """The ids as int32, with `rows`, the number of no row, in the place of every id outside [0, rows).

    Args:
        ids: integers of any shape and dtype.
        rows: the number of rows, below 2³¹.

    Returns:
        An int32 array of the shape of `ids`.
    """
    if ids.dtype.itemsize < 4:
        ids = ids.astype(jnp.int32)
    # Compared in the ids' dtype: a 64-bit id may only be cut to 32 bits once it is known to be in range.
    return jnp.where((ids >= 0) & (ids < rows), ids, jnp.asarray(rows, ids.dtype)).astype(jnp.int32)


def unique_rows(ids: jax.Array, grads: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """The distinct ids and the sum of the gradients of each.

    Args:
        ids: integers (n,). Those outside [0, rows) count as no row.
        grads: an array (n, features).
        rows: the number of rows.

    Returns:
        The distinct ids (n,) in ascending order, followed by `rows` in the unused places, and the sums (n, features).
    """
    ordered, order = _sorted(valid_ids(ids, rows), rows)
    new = jnp.concatenate([jnp.ones(1, bool), ordered[1:] != ordered[:-1]])[: ids.size]
    place = jnp.cumsum(new) - 1
    summed = jax.ops.segment_sum(grads[order], place, ids.size, indices_are_sorted=True)
    return jnp.full(ids.size, rows, jnp.int32).at[place].set(ordered), summed


def _sorted(ids: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """The ids in ascending order, and the index of each before."""
    n = ids.size
    if (rows + 1) * n > 2**32:
        order = jnp.argsort(ids)
        return ids[order], order
    # Id and index in one integer: XLA:CPU takes five times as long to sort pairs.
    both = jnp.sort(ids.astype(jnp.uint32) * n + jnp.arange(n, dtype=jnp.uint32))
    return (both // n).astype(jnp.int32), (both % n).astype(jnp.int32)
