"""The order of the examples: one permutation per epoch, drawn inside the program."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class Order(NamedTuple):
    """The rows of this epoch in the order they are visited, and how many of its batches were visited."""

    rows: Array  # (examples,) int32
    spent: Array  # () int32


def permutation(key: Array, examples: int) -> Array:
    """A random permutation of `examples` rows, int32.

    Up to 2,048 rows, one sort of random bits with the row number in the low bits: a fifth of the time of
    `jax.random.permutation` on CPU, where the sort of pairs is the larger part of a small network's epoch. Rows with
    equal random bits keep their order: of the n(n − 1)/2 pairs of rows a share of 2⁻ᵇ, with b = 32 − ⌈log₂ n⌉ random
    bits. That is at most one pair per permutation on average, at n = 2,048 (b = 21).
    """
    width = max(1, (examples - 1).bit_length())
    if width > 11:
        return jax.random.permutation(key, examples).astype(jnp.int32)
    bits = jax.random.bits(key, (examples,), jnp.uint32)
    keyed = jnp.sort((bits << width) | jnp.arange(examples, dtype=jnp.uint32))
    return (keyed & jnp.uint32((1 << width) - 1)).astype(jnp.int32)


def unstarted(examples: int, batch_size: int) -> Order:
    """An order at the end of an epoch, so that the first batch draws a permutation."""
    return Order(jnp.zeros(examples, jnp.int32), jnp.int32(examples // batch_size))


def next_batch(order: Order, key: Array, batch_size: int) -> tuple[Array, Order]:
    """The rows of the next batch, and the order after it; `key` is used where a new epoch begins.

    The last rows of an epoch, if fewer than a batch, are skipped in that epoch.
    """
    examples = order.rows.shape[0]
    rows = _current_rows(order.rows, order.spent, key, examples // batch_size)
    spent = jnp.where(order.spent >= examples // batch_size, 0, order.spent)
    batch = jax.lax.dynamic_slice_in_dim(rows, spent * batch_size, batch_size)
    return batch, Order(rows, spent + 1)


def _current_rows(rows: Array, spent: Array, key: Array, batches: int) -> Array:
    """The rows of the current epoch; a new permutation if all its batches were visited.

    Under `vmap` a plain `lax.cond` becomes a select that draws at every step, which more than doubles the time of a
    small network's step. All members of a population begin their epochs together, so the batching rule
    tests one condition for all of them.
    """

    @jax.custom_batching.custom_vmap
    def current(rows: Array, spent: Array, key_data: Array) -> Array:
        def draw() -> Array:
            return permutation(jax.random.wrap_key_data(key_data), rows.shape[0])

        return jax.lax.cond(spent >= batches, draw, lambda: rows)

    @current.def_vmap
    def population(size: int, batched: list[bool], rows: Array, spent: Array, key_data: Array) -> tuple[Array, bool]:
        def spread(x: Array, is_batched: bool) -> Array:
            return x if is_batched else jnp.broadcast_to(x, (size, *x.shape))

        rows, spent, key_data = map(spread, (rows, spent, key_data), batched)

        def drawn(data: Array) -> Array:
            return permutation(jax.random.wrap_key_data(data), rows.shape[1])

        def draw() -> Array:
            # members of one seed have one order, which is drawn once if all keys are equal
            equal = jnp.all(key_data == key_data[:1])
            new = jax.lax.cond(equal, lambda: spread(drawn(key_data[0]), False), lambda: jax.vmap(drawn)(key_data))
            return jnp.where((spent >= batches)[:, None], new, rows)

        return jax.lax.cond(jnp.any(spent >= batches), draw, lambda: rows), True

    return current(rows, spent, jax.random.key_data(key))
