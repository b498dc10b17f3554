"""What an activation keeps for the backward pass, in arrays the size of its input, for each layer of a network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Function = Callable[..., jax.Array]
Shapes = tuple[tuple[int, ...], ...]
Depths = tuple[int, int]
_BATCH, _WIDTH = 512, 256
DEPTHS = (8, 24)


class Memory(NamedTuple):
    """Arrays kept per layer.

    Attributes:
        scan: slope over depth of the compiled temporary memory, the layers in a `jax.lax.scan`.
        unrolled: the same slope, the layers in a Python loop over a list of weights under one `jit(grad)`.
        closure: bytes in the closure of `jax.vjp` of one layer.
    """

    scan: float
    unrolled: float
    closure: float


def dense_after(f: Function) -> Function:
    """One layer as people write it: matrix product, then activation."""
    return lambda h, w: f(h @ w)


def scan_slope(layer: Function, shapes: Shapes, unit: int, width: int, depths: Depths = DEPTHS) -> float:
    """Units of memory for each further layer of a scanned stack: the slope over depth of its compiled temporary memory.

    Args:
        layer: a function of h, of shape (batch, width), and weights.
        shapes: the shapes of the weights, in float32.
        unit: the number of entries that count as one array.
        width: the last axis of h.
        depths: the two numbers of layers.
    """

    def loss(weights: Any, x: jax.Array) -> jax.Array:
        return jnp.sum(jax.lax.scan(lambda h, w: (layer(h, *w), None), x, weights)[0])

    def weights(depth: int) -> Any:
        return tuple(jax.ShapeDtypeStruct((depth, *s), jnp.float32) for s in shapes)

    return _slope(loss, weights, unit, width, depths)


def unrolled_slope(layer: Function, shapes: Shapes, unit: int, width: int, depths: Depths = DEPTHS) -> float:
    """Units of memory for each further layer of an unrolled stack; the arguments are those of `scan_slope`."""

    def loss(weights: Any, x: jax.Array) -> jax.Array:
        for w in weights:
            x = layer(x, *w)
        return jnp.sum(x)

    def weights(depth: int) -> Any:
        return [tuple(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes) for _ in range(depth)]

    return _slope(loss, weights, unit, width, depths)


def _slope(loss: Function, weights: Callable[[int], Any], unit: int, width: int, depths: Depths) -> float:
    def temporary(depth: int) -> int:
        x = jax.ShapeDtypeStruct((_BATCH, width), jnp.float32)
        analysis: Any = jax.jit(jax.grad(loss)).lower(weights(depth), x).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    shallow, deep = depths
    return (temporary(deep) - temporary(shallow)) / (deep - shallow) / (4 * unit)


def closure(layer: Function, shapes: Shapes, unit: int, width: int) -> float:
    """Units of memory in the closure of `jax.vjp` of one layer, its weights not counted; nothing is computed."""

    def kept(x: jax.Array, *weights: jax.Array) -> list[jax.Array]:
        leaves = jax.tree.leaves(jax.vjp(layer, x, *weights)[1])
        return list({id(a): a for a in leaves if hasattr(a, "shape") and a.shape not in shapes}.values())

    arguments = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((_BATCH, width), *shapes))
    return sum(a.size * a.dtype.itemsize for a in jax.eval_shape(kept, *arguments)) / (4 * unit)


def _memory(layer: Function, shapes: Shapes, unit: int, depths: Depths) -> Memory:
    arguments = (layer, shapes, unit, _WIDTH)
    return Memory(scan_slope(*arguments, depths), unrolled_slope(*arguments, depths), closure(*arguments))


def kept(f: Function, depths: Depths = DEPTHS) -> Memory:
    """What a layer `f(h @ w)` keeps."""
    return _memory(dense_after(f), ((_WIDTH, _WIDTH),), _BATCH * _WIDTH, depths)


def kept_by_block(block: Function, depths: Depths = DEPTHS) -> Memory:
    """What a layer `block(z, w)`, an activation and the matrix product after it, keeps."""
    return _memory(block, ((_WIDTH, _WIDTH),), _BATCH * _WIDTH, depths)


def kept_by_gated(block: Function, depths: Depths = DEPTHS) -> Memory:
    """What a gated layer `block(gate, up, w)` keeps, in arrays of its inner width, 4 times the outer."""
    inner = 4 * _WIDTH

    def layer(h: jax.Array, w_gate: jax.Array, w_up: jax.Array, w: jax.Array) -> jax.Array:
        return block(h @ w_gate, h @ w_up, w)

    return _memory(layer, ((_WIDTH, inner), (_WIDTH, inner), (inner, _WIDTH)), _BATCH * inner, depths)
