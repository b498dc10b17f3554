"""Blocks of an activation and the matrix product after it, which keep the pre-activation and nothing else."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def act_dense(fn: Callable[..., jax.Array], z: jax.Array, w: jax.Array, b: jax.Array | None = None) -> jax.Array:
    """fn(z) @ w + b, keeping z alone for the backward pass, whatever fn is.

    z: (..., n). w: (n, m). b: (m,) or None. The result is (..., m). The backward pass evaluates fn again, which costs
    little, and repeats no matrix product. A plain `fn(z) @ w` keeps fn(z) too, for the derivative in w.

    Source: Chen, Xu, Zhang and Guestrin 2016, of which this is the cheapest cut.
    """
    _fits("act_dense", z, w, b)

    def block(z: jax.Array, w: jax.Array, b: jax.Array | None) -> jax.Array:
        return _affine(fn(z), w, b)

    return jax.checkpoint(block, prevent_cse=False)(z, w, b)


def gated_dense(
    fn: Callable[..., jax.Array], gate: jax.Array, up: jax.Array, w: jax.Array, b: jax.Array | None = None
) -> jax.Array:
    """(fn(gate) × up) @ w + b, keeping gate and up alone for the backward pass: the second half of a SwiGLU block.

    gate, up: (..., n). w: (n, m). b: (m,) or None. The result is (..., m).

    Source: Shazeer 2020 for the block.
    """
    if gate.shape != up.shape:
        raise ValueError(
            f"gated_dense: gate has shape {gate.shape} and up {up.shape}, but they are multiplied entry by entry; "
            "give both the same shape"
        )
    _fits("gated_dense", gate, w, b)

    def block(gate: jax.Array, up: jax.Array, w: jax.Array, b: jax.Array | None) -> jax.Array:
        return _affine(fn(gate) * up, w, b)

    return jax.checkpoint(block, prevent_cse=False)(gate, up, w, b)


def _affine(x: jax.Array, w: jax.Array, b: jax.Array | None) -> jax.Array:
    y = x @ w
    return y if b is None else y + b.reshape((1,) * (y.ndim - 1) + b.shape)


def _fits(name: str, z: jax.Array, w: jax.Array, b: jax.Array | None) -> None:
    if jnp.ndim(w) != 2 or jnp.ndim(z) < 1 or z.shape[-1] != w.shape[0] or (b is not None and b.shape != w.shape[1:]):
        shape = None if b is None else b.shape
        raise ValueError(
            f"{name}: shapes {z.shape} @ {w.shape} + {shape} do not fit; give w of shape (n, m) for a last axis of "
            "length n, and b of shape (m,) or None"
        )
