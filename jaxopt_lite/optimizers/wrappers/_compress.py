"""Optimizer states in one byte a number: a small floating-point code with stochastic rounding."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.optimizers._arithmetic import next_count
from jaxopt_lite.optimizers._bits import random_bits, stream
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers.wrappers._checks import check_inner
from jaxopt_lite.optimizers.wrappers._shards import all_shards, max_over_shards

# The float32 bits below the code's three digits of mantissa.
CUT = 20
# The largest float32 number without those bits.
LARGEST = 0x7F7
NOT_FINITE = 255


class Code(NamedTuple):
    """A coded array.

    `byte` is the uint8 code of each entry, `base` the exponent and leading digits of the code 0 (int32). `signed` is
    1 if the array has negative entries and 0 otherwise; its dtype is that of the array.
    """

    byte: Any
    base: Any
    signed: Any


class CompressState(NamedTuple):
    """Steps done, which seed the rounding, and the inner state with a `Code` in the place of each large array."""

    count: Any
    inner: Any


class Compress(NamedTuple):
    """The rule of `compress`."""

    name: str = "compress"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> CompressState:
        """The inner state, coded."""
        return compressed(parts["tx"].init(params), jnp.zeros((), jnp.int32), fixed["min_size"])

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, CompressState]:
        """The inner step on the decoded state, which is coded again."""
        check_inner(self.name, state)
        updates, inner = parts["tx"](grads, decompressed(state), params, **extra)
        return updates, compressed(inner, next_count(state.count), fixed["min_size"])


def compressed(inner: Any, count: jax.Array, min_size: int) -> CompressState:
    """A state with its large floating arrays coded."""
    leaves, treedef = jax.tree.flatten(inner)
    coded = [_coded(x, stream(count, i, "codes"), min_size) for i, x in enumerate(leaves)]
    return CompressState(count=count, inner=jax.tree.unflatten(treedef, coded))


def decompressed(state: CompressState) -> Any:
    """The inner state with every array decoded."""
    return jax.tree.map(lambda x: decode(x) if _is_code(x) else x, state.inner, is_leaf=_is_code)


def recompressed(state: CompressState, inner: Any) -> CompressState:
    """The state with another inner state, in which the same arrays are coded."""
    min_size = min((x.byte.size for x in jax.tree.leaves(state.inner, is_leaf=_is_code) if _is_code(x)), default=None)
    return state._replace(inner=inner) if min_size is None else compressed(inner, state.count, min_size)


def _is_code(x: Any) -> bool:
    # In the optimizers of Flax NNX a NamedTuple inside a tree of parameters comes back as a mapping of its fields.
    return isinstance(x, Code) or (isinstance(x, Mapping) and set(x) == set(Code._fields))


def _coded(x: Any, key: jax.Array, min_size: int) -> Any:
    if jnp.ndim(x) == 0 or jnp.size(x) < min_size or x.dtype not in (jnp.float32, jnp.bfloat16, jnp.float16):
        return x
    return encode(x, random_bits(key, x.shape))


def encode(x: jax.Array, bits: jax.Array) -> Code:
    """`x` in one byte an entry: eight levels an octave, over 16 octaves and a sign or over 32 octaves without one.

    The levels are float32 numbers with three digits of mantissa, below the largest of the array. An entry between two
    levels is rounded up or down at random, unbiased; so is an entry below the lowest level, to it or to 0. In an
    array without negative entries every entry below the lowest level except 0 becomes the lowest: a second moment that
    became 0 beside a first one that did not would make the step infinite.
    """
    # The values decide about the sign, as names cannot: Adan's `v` is signed, Adafactor's is not.
    signed = ~all_shards(~jnp.any(x < 0))
    levels = jnp.where(signed, 126, 254)
    size = jnp.abs(x.astype(jnp.float32))
    finite = jnp.isfinite(size)
    largest = max_over_shards(jnp.max(jnp.where(finite, size, 0)))
    top = jnp.minimum(jax.lax.bitcast_convert_type(largest, jnp.uint32).astype(jnp.int32) >> CUT, LARGEST - 1)
    base = top + 1 - levels
    mask = jnp.uint32(2**CUT - 1)
    level = ((jax.lax.bitcast_convert_type(size, jnp.uint32) + (bits & mask)) >> CUT).astype(jnp.int32) - base
    lowest = _number(base + 1)
    chance = jnp.where(signed, (bits >> 8).astype(jnp.float32) * jnp.float32(2.0**-24), 0)
    below = (chance * lowest < size).astype(jnp.int32)
    code = jnp.clip(jnp.where(size < lowest, below, jnp.maximum(level, 1)), 0, levels)
    code = jnp.where(finite, jnp.where(x < 0, code + 128, code), NOT_FINITE)
    return Code(byte=code.astype(jnp.uint8), base=base, signed=signed.astype(x.dtype))


def decode(code: Code) -> jax.Array:
    """The array that a code stands for; entries that were not finite are NaN."""
    byte = code.byte.astype(jnp.int32)
    signed = code.signed > 0
    level = jnp.where(signed, byte & 127, byte)
    size = jnp.where(level > 0, _number(level + code.base), 0)
    value = jnp.where(signed & (byte > 127), -size, size)
    return jnp.where(byte == NOT_FINITE, jnp.nan, value).astype(code.signed.dtype)


def _number(bits: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(jnp.maximum(bits, 1).astype(jnp.uint32) << CUT, jnp.float32)


def compress(tx: optax.GradientTransformation, min_size: int = 256) -> Transform:
    """Keep the state of `tx` in one byte a number: 2 bytes a parameter for Adam instead of 8.

    Every floating array of the state with at least `min_size` entries is coded after each step and decoded before the
    next: three binary digits of mantissa over the 16 octaves below the array's largest entry, or over 32 octaves if no
    entry is negative, as in second moments. Rounded to nearest, a slowly moving average would stand still, so codes
    are rounded at random, with bits from a counter hash. This costs time in every step. An entry that becomes infinite
    or NaN is NaN from then on, as it is without `compress`; the other entries go on.

    Args:
        tx: the transform whose state is kept in bytes, one of this package or of optax.
        min_size: the smallest number of entries of an array that is coded, at least 1. It is static. Smaller arrays
            keep their dtype: a code has two more scalars.

    Returns:
        A transform with the settings of `tx` as leaves. Its state has a `Code` in the place of each large array.

    Raises:
        TypeError: `tx` is not a transform, or `min_size` is not an integer.
        ValueError: `min_size` is below 1.

    Example:
        >>> tx = compress(adam(1e-3))
        >>> state = tx.init(jnp.zeros(10_000))
        >>> sum(x.nbytes for x in jax.tree.leaves(state)) / 10_000 < 2.01
        True

    Reference:
        The idea of 8-bit states: Dettmers, Lewis, Shleifer and Zettlemoyer 2022. The code is of this package.
    """
    if isinstance(min_size, bool) or not isinstance(min_size, int):
        raise TypeError(f"compress: min_size={min_size!r} must be an integer, as 256")
    if min_size < 1:
        raise ValueError(f"compress: min_size={min_size} must be 1 or more")
    return build(Compress(), {}, {"min_size": min_size}, {"tx": tx})
