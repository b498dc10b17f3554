"""The order of the examples: one permutation an epoch, drawn inside the program and nowhere else."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class Order(NamedTuple):
    """The rows of this epoch in the order they are visited, and how many batches of it are spent."""

    rows: Array  # (examples,) int32
    spent: Array  # () int32


def permutation(key: Array, examples: int) -> Array:
    """A random permutation of `examples` rows, int32.

    Up to 2,048 rows, one sort of random bits with the row number in the low bits: a fifth of the time of
    `jax.random.permutation` on CPU, where the sort of pairs is the larger part of a small network's epoch. With at
    least 21 random bits before the row number, fewer than one tie in two permutations is resolved by the row number.
    """
    width = max(1, (examples - 1).bit_length())
    if width > 11:
        return jax.random.permutation(key, examples).astype(jnp.int32)
    bits = jax.random.bits(key, (examples,), jnp.uint32)
    keyed = jnp.sort((bits << width) | jnp.arange(examples, dtype=jnp.uint32))
    return (keyed & jnp.uint32((1 << width) - 1)).astype(jnp.int32)


def unstarted(examples: int, batch_size: int) -> Order:
    """An order whose last epoch is over, so that the first batch draws the first epoch."""
    return Order(jnp.zeros(examples, jnp.int32), jnp.int32(examples // batch_size))


def next_batch(order: Order, key: Array, batch_size: int) -> tuple[Array, Order]:
    """The rows of the next batch, and the order after it; `key` is used where a new epoch begins.

    The rows left over at the end of an epoch (fewer than a batch) are passed over; the next epoch mixes them in again.
    """
    examples = order.rows.shape[0]
    rows = _begun(order.rows, order.spent, key, examples // batch_size)
    spent = jnp.where(order.spent >= examples // batch_size, 0, order.spent)
    batch = jax.lax.dynamic_slice_in_dim(rows, spent * batch_size, batch_size)
    return batch, Order(rows, spent + 1)


def _begun(rows: Array, spent: Array, key: Array, batches: int) -> Array:
    """The rows of the epoch at hand: drawn anew where it is over.

    Under `vmap` a plain `lax.cond` becomes a select that draws at every step, which more than doubles the time of a
    small network's step. All members of a population begin their epochs together, so the batching rule asks one
    question for all of them.
    """

    @jax.custom_batching.custom_vmap
    def begun(rows: Array, spent: Array, key_data: Array) -> Array:
        def draw() -> Array:
            return permutation(jax.random.wrap_key_data(key_data), rows.shape[0])

        return jax.lax.cond(spent >= batches, draw, lambda: rows)

    @begun.def_vmap
    def population(size: int, batched: list[bool], rows: Array, spent: Array, key_data: Array) -> tuple[Array, bool]:
        def spread(x: Array, is_batched: bool) -> Array:
            return x if is_batched else jnp.broadcast_to(x, (size, *x.shape))

        rows, spent, key_data = map(spread, (rows, spent, key_data), batched)

        def own(data: Array) -> Array:
            return permutation(jax.random.wrap_key_data(data), rows.shape[1])

        def draw() -> Array:
            # members of one seed see one order: it is drawn once where all have the same key
            alike = jnp.all(key_data == key_data[:1])
            new = jax.lax.cond(alike, lambda: spread(own(key_data[0]), False), lambda: jax.vmap(own)(key_data))
            return jnp.where((spent >= batches)[:, None], new, rows)

        return jax.lax.cond(jnp.any(spent >= batches), draw, lambda: rows), True

    return begun(rows, spent, jax.random.key_data(key))
