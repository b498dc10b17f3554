"""Cheap random bits from a counter, and rounding that is right on average."""

from typing import Any

import jax
import jax.numpy as jnp


def stream(count: jax.Array, leaf: int, seed: Any = 0.0) -> jax.Array:
    """A key for the bits of one leaf at one step: a uint32 scalar."""
    start = jnp.asarray(seed).astype(jnp.uint32) * jnp.uint32(0x9E3779B9) + jnp.uint32(2 * leaf + 1)
    return _mixed(_mixed(start) ^ count.astype(jnp.uint32) * jnp.uint32(0x85EBCA6B))


def random_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random uint32, one an entry: a hash of the key and of the entry's place (threefry costs ten times as much)."""
    place = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in range(len(shape) - 1, -1, -1):
        # Summed over the axes: a flat iota reshaped would not fuse on a sharded array.
        place = place + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
        stride *= shape[axis]
    return _mixed(place * jnp.uint32(0x9E3779B9) + key)


def _mixed(x: jax.Array) -> jax.Array:
    """The finalizer of MurmurHash3 (Appleby 2008): every input bit reaches every output bit."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def rounded(x: jax.Array, dtype: Any, bits: jax.Array) -> jax.Array:
    """Float32 `x` in bfloat16 or float16, rounded up or down at random, so that the mean is `x`.

    As many random bits as are cut off are added to the number's own bits, then they are cut. Other dtypes, and
    numbers that are not finite, are converted as usual.
    """
    cut = 23 - jnp.finfo(dtype).nmant
    if x.dtype != jnp.float32 or cut <= 0:
        return x.astype(dtype)
    mask = jnp.uint32(2**cut - 1)
    raised = jax.lax.bitcast_convert_type(x, jnp.uint32) + (bits & mask)
    kept = jax.lax.bitcast_convert_type(raised & ~mask, jnp.float32)
    # Near the largest number the addition may reach infinity, which rounding down would not.
    return jnp.where(jnp.isfinite(x) & jnp.isfinite(kept), kept, x).astype(dtype)
