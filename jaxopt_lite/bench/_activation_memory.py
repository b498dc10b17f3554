"""What an activation keeps for the backward pass, in arrays the size of its input, for each layer of a network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Function = Callable[[jax.Array], jax.Array]
_BATCH, _WIDTH = 512, 256
_SHALLOW, _DEEP = 8, 24


def dense_after(f: Function) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """One layer as people write it: matrix product, then activation."""
    return lambda h, w: f(h @ w)


def scan_slope(layer: Callable[..., jax.Array], shapes: tuple[tuple[int, ...], ...], unit: int, width: int) -> float:
    """Units of memory for each further layer of a scanned stack: the slope over depth of its compiled temporary memory.

    layer(h, *weights) of h (batch, width); shapes are those of the weights, in float32; unit is the number of entries
    that count as one array.
    """

    def temporary(depth: int) -> int:
        def loss(weights: Any, x: jax.Array) -> jax.Array:
            return jnp.sum(jax.lax.scan(lambda h, w: (layer(h, *w), None), x, weights)[0])

        weights = tuple(jax.ShapeDtypeStruct((depth, *s), jnp.float32) for s in shapes)
        x = jax.ShapeDtypeStruct((_BATCH, width), jnp.float32)
        analysis: Any = jax.jit(jax.grad(loss)).lower(weights, x).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    return (temporary(_DEEP) - temporary(_SHALLOW)) / (_DEEP - _SHALLOW) / (4 * unit)


def closure(layer: Callable[..., jax.Array], shapes: tuple[tuple[int, ...], ...], unit: int, width: int) -> float:
    """Units of memory in the closure of `jax.vjp` of one layer, its weights not counted."""
    weights = tuple(jnp.zeros(s, jnp.float32) for s in shapes)
    _, back = jax.vjp(layer, jnp.zeros((_BATCH, width), jnp.float32), *weights)
    kept = {id(leaf): leaf for leaf in jax.tree.leaves(back) if hasattr(leaf, "nbytes") and leaf.shape not in shapes}
    return sum(leaf.nbytes for leaf in kept.values()) / (4 * unit)


def kept(f: Function) -> tuple[float, float]:
    """(scan slope, closure) of a layer `f(h @ w)`."""
    arguments = (dense_after(f), ((_WIDTH, _WIDTH),), _BATCH * _WIDTH, _WIDTH)
    return scan_slope(*arguments), closure(*arguments)


def kept_by_block(block: Callable[[jax.Array, jax.Array], jax.Array]) -> tuple[float, float]:
    """(scan slope, closure) of a layer `block(z, w)`, an activation and the matrix product after it."""
    arguments = (block, ((_WIDTH, _WIDTH),), _BATCH * _WIDTH, _WIDTH)
    return scan_slope(*arguments), closure(*arguments)


def kept_by_gated(block: Callable[..., jax.Array]) -> tuple[float, float]:
    """(scan slope, closure) of a gated layer `block(gate, up, w)`, in arrays of its inner width, 4 times the outer."""
    inner = 4 * _WIDTH

    def layer(h: jax.Array, w_gate: jax.Array, w_up: jax.Array, w: jax.Array) -> jax.Array:
        return block(h @ w_gate, h @ w_up, w)

    arguments = (layer, ((_WIDTH, inner), (_WIDTH, inner), (inner, _WIDTH)), _BATCH * inner, _WIDTH)
    return scan_slope(*arguments), closure(*arguments)
