"""Random bits from a hash of the step, the leaf and the entry, and stochastic rounding with them."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

Use = Literal["moments", "parameters", "codes"]
USES: dict[Use, int] = {"moments": 0x2545F491, "parameters": 0x6C078965, "codes": 0x5851F42D}
# Seeds are stored in the optimizer state as float32, which represents every integer up to here.
LARGEST_SEED = 2**24


def stream(count: jax.Array, leaf: int, use: Use, seed: jax.Array | float = 0.0) -> jax.Array:
    """The key of one leaf's bits at one step.

    Args:
        count: the step, an integer scalar.
        leaf: the index of the leaf in its tree.
        use: what the bits are for. Two uses draw unrelated bits, at equal and at different steps.
        seed: any number; unequal float32 numbers give unrelated bits.

    Returns:
        A uint32 scalar for `random_bits`.
    """
    # Adding 0 turns −0 into 0, whose bits differ although they are equal seeds.
    seed_bits = jax.lax.bitcast_convert_type(jnp.asarray(seed, jnp.float32) + jnp.float32(0), jnp.uint32)
    key = _mixed(seed_bits ^ jnp.uint32(USES[use]))
    # Mixed after each part: a sum of multiples of the parts would repeat for other steps and leaves.
    key = _mixed(key + jnp.uint32(leaf + 1) * jnp.uint32(0x9E3779B9))
    return _mixed(key ^ count.astype(jnp.uint32) * jnp.uint32(0x85EBCA6B))


def random_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random uint32 numbers: a hash of the key and of each entry's index, ten times as fast as threefry.

    Args:
        key: a uint32 scalar from `stream`.
        shape: the shape of the array.

    Returns:
        A uint32 array.
    """
    index = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in range(len(shape) - 1, -1, -1):
        # Summed over the axes: a flat iota reshaped would not fuse on a sharded array.
        index = index + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
        stride *= shape[axis]
    return _mixed(index * jnp.uint32(0x9E3779B9) + key)


def _mixed(x: jax.Array) -> jax.Array:
    """The finalizer of MurmurHash3 (Appleby 2008): every input bit affects every output bit."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def rounded(x: jax.Array, dtype: Any, bits: jax.Array) -> jax.Array:
    """Stochastic rounding of float32 to bfloat16 or float16: up or down at random, with mean `x`.

    As many random bits as are cut off are added to the bits of the number, then cut. Other dtypes, numbers that are
    not finite, and those that rounding up would make infinite are converted as usual.

    Args:
        x: a floating array.
        dtype: the dtype to round to.
        bits: random uint32 numbers of the shape of `x`.

    Returns:
        `x` in `dtype`.
    """
    info = jnp.finfo(dtype)
    cut = 23 - info.nmant
    if x.dtype != jnp.float32 or cut <= 0:
        return x.astype(dtype)
    mask, tiny = jnp.uint32(2**cut - 1), jnp.float32(info.tiny)
    # Below its smallest normal number float16 has the last digit of the octave above: x is rounded there.
    shift = jnp.where(jnp.abs(x) < tiny, jnp.copysign(tiny, x), 0) if info.nexp < 8 else 0
    raised = jax.lax.bitcast_convert_type(x + shift, jnp.uint32) + (bits & mask)
    kept = jax.lax.bitcast_convert_type(raised & ~mask, jnp.float32) - shift
    return jnp.where(jnp.isfinite(x) & (jnp.abs(kept) <= float(info.max)), kept, x).astype(dtype)
