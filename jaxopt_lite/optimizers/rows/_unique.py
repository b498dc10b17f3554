"""Row numbers without repetition, and the sums of their gradients, in fixed shapes."""

import jax
import jax.numpy as jnp


def unique_rows(ids: jax.Array, grads: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """The distinct ids in ascending order and the summed gradient of each; `rows` fills the places that are left.

    `ids` (n,) integers, `grads` (n, d). Ids outside [0, rows) count as no row.
    """
    ids = ids.astype(jnp.int32) if ids.dtype.itemsize < 4 else ids
    ids = jnp.where((ids >= 0) & (ids < rows), ids, rows).astype(jnp.int32)
    ordered, order = _sorted(ids, rows)
    new = jnp.concatenate([jnp.ones(1, bool), ordered[1:] != ordered[:-1]])[: ids.size]
    place = jnp.cumsum(new) - 1
    summed = jax.ops.segment_sum(grads[order], place, ids.size, indices_are_sorted=True)
    return jnp.full(ids.size, rows, jnp.int32).at[place].set(ordered), summed


def _sorted(ids: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """The ids in ascending order, and the place of each before; as one array of integers where both fit in 32 bits,
    for a sort of pairs takes XLA five times as long on a CPU."""
    n = ids.size
    if (rows + 1) * n > 2**32:
        order = jnp.argsort(ids)
        return ids[order], order
    both = jnp.sort(ids.astype(jnp.uint32) * n + jnp.arange(n, dtype=jnp.uint32))
    return (both // n).astype(jnp.int32), (both % n).astype(jnp.int32)
