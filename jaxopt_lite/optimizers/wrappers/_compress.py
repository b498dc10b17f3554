"""Optimizer states in one byte a number: a small floating-point code, rounded at random."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import next_count
from jaxopt_lite.optimizers._bits import random_bits, stream
from jaxopt_lite.optimizers._transform import Parts, Transform, build

# The float32 bits below the code's three digits of mantissa.
CUT = 20
# Marks a coded array in the inner state by its shape, and keeps its dtype; not empty, as Orbax saves no empty arrays.
BLANK = (1,) * 8
NEVER_NEGATIVE = frozenset({"nu", "nu_max", "v", "n", "e_g", "e_x", "sum_of_squares", "vr", "vc"})


class Code(NamedTuple):
    """A coded array: the byte of each entry, and the exponent that the highest code stands for."""

    byte: Any
    top: Any


class CompressState(NamedTuple):
    """Steps done, which seed the rounding, the codes, and the inner state with a blank in the place of each."""

    count: Any
    codes: tuple[Code, ...]
    inner: Any


class Compress(NamedTuple):
    """The rule of `compress`."""

    name: str = "compress"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> CompressState:
        """The inner state, coded."""
        return _coded(parts["tx"].init(params), jnp.zeros((), jnp.int32), fixed["min_size"])

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, CompressState]:
        """The inner step on the decoded state, which is coded again."""
        updates, inner = parts["tx"](grads, _decoded(state), params, **extra)
        return updates, _coded(inner, next_count(state.count), fixed["min_size"])


def _coded(state: Any, count: jax.Array, min_size: int) -> CompressState:
    paths, treedef = jax.tree_util.tree_flatten_with_path(state)
    kept: list[Any] = []
    codes: list[Code] = []
    for i, (path, x) in enumerate(paths):
        if jnp.ndim(x) == 0 or jnp.size(x) < min_size or x.dtype not in (jnp.float32, jnp.bfloat16, jnp.float16):
            kept.append(x)
            continue
        bits = random_bits(stream(count, i, "codes"), x.shape)
        codes.append(encode(x.astype(jnp.float32), bits, signed=not _names(path) & NEVER_NEGATIVE))
        kept.append(jnp.zeros(BLANK, x.dtype))
    return CompressState(count=count, codes=tuple(codes), inner=jax.tree.unflatten(treedef, kept))


def _decoded(state: CompressState) -> Any:
    codes = iter(state.codes)
    return jax.tree.map(lambda x: decode(next(codes)).astype(x.dtype) if jnp.shape(x) == BLANK else x, state.inner)


def _names(path: tuple) -> set[str]:
    return {str(getattr(key, "key", getattr(key, "name", ""))) for key in path}


def encode(x: jax.Array, bits: jax.Array, signed: bool) -> Code:
    """`x` in one byte an entry: eight levels an octave over 16 octaves and a sign, or over 32 octaves without one.

    The levels are float32 numbers with three digits of mantissa, below the largest of the array. Between two levels
    one is taken at random, right on average; so is 0 below the lowest, except in the unsigned code, where the lowest
    stands for all that is not 0: a second moment that became 0 under a first one would make the step infinite.
    """
    levels = 127 if signed else 255
    size = jnp.abs(x)
    top = jax.lax.bitcast_convert_type(jnp.max(size), jnp.uint32).astype(jnp.int32) >> CUT
    base = top + 1 - levels
    mask = jnp.uint32(2**CUT - 1)
    level = ((jax.lax.bitcast_convert_type(size, jnp.uint32) + (bits & mask)) >> CUT).astype(jnp.int32) - base
    lowest = _number(base + 1)
    chance = (bits >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
    below = (chance * lowest < size).astype(jnp.int32) if signed else (size > 0).astype(jnp.int32)
    code = jnp.clip(jnp.where(size < lowest, below, jnp.maximum(level, 1)), 0, levels)
    if signed:
        return Code(byte=jnp.where(x < 0, -code, code).astype(jnp.int8), top=top)
    return Code(byte=code.astype(jnp.uint8), top=top)


def decode(code: Code) -> jax.Array:
    """The float32 array that a code stands for."""
    signed = code.byte.dtype == jnp.int8
    level = jnp.abs(code.byte.astype(jnp.int32))
    size = jnp.where(level > 0, _number(level + code.top + 1 - (127 if signed else 255)), 0.0)
    return jnp.where(code.byte < 0, -size, size) if signed else size


def _number(bits: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(jnp.maximum(bits, 1).astype(jnp.uint32) << CUT, jnp.float32)


def compress(tx: Any, min_size: int = 256) -> Transform:
    """Keep the state of `tx` in one byte a number: 2 bytes a parameter for Adam instead of 8.

    Every floating array of the state with `min_size` entries or more is coded after each step: three binary digits of
    mantissa over the 16 octaves below the array's largest entry with a sign, over 32 octaves for second moments
    (known by the names optax and this package give them). Rounded to nearest, a slow average would stand still; it is
    rounded at random, with bits from a counter hash. Costs time: the state is decoded and coded in every step.

    `tx` is a transform of ours or of optax; `min_size` is structure.

    >>> tx = compress(adam(1e-3))
    >>> state = tx.init(jnp.zeros(10_000))
    >>> sum(x.nbytes for x in jax.tree.leaves(state)) / 10_000 < 2.01
    True

    Source: the idea of 8-bit states is Dettmers et al. 2022; the code is our own.
    """
    return build(Compress(), {}, {"min_size": int(min_size)}, {"tx": tx})
