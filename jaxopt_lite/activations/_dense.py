"""Blocks of an activation and the matrix product after it, which keep only their inputs for the backward pass."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def act_dense(fn: Callable[..., jax.Array], z: jax.Array, w: jax.Array, b: jax.Array | None = None) -> jax.Array:
    """An activation and the matrix product after it, `fn(z) @ w + b`, that keep only z for the backward pass.

    A plain `fn(z) @ w` also keeps fn(z), for the derivative in w, and what fn keeps. This is `jax.checkpoint` around
    the two: the backward pass evaluates fn again and repeats no matrix product. It saves memory under `jax.lax.scan`,
    and on accelerators. It saves nothing in an unrolled network on CPU, where XLA merges the second evaluation of fn
    with the first.

    Args:
        fn: the activation, a function of one array.
        z: pre-activation of shape (..., n).
        w: weights of shape (n, m).
        b: bias of shape (m,). Default None: no bias.

    Returns:
        An array of shape (..., m).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxopt_lite.activations import act_dense, gelu
        >>> act_dense(gelu, jnp.ones((5, 3)), jnp.ones((3, 2)), jnp.zeros(2)).shape
        (5, 2)

    Reference:
        Chen, Xu, Zhang and Guestrin, 2016, Training deep nets with sublinear memory cost.
    """
    _fits("act_dense", z, w, b)

    def block(z: jax.Array, w: jax.Array, b: jax.Array | None) -> jax.Array:
        return _affine(fn(z), w, b)

    return jax.checkpoint(block)(z, w, b)


def gated_dense(
    fn: Callable[..., jax.Array], gate: jax.Array, up: jax.Array, w: jax.Array, b: jax.Array | None = None
) -> jax.Array:
    """The second half of a SwiGLU block, `(fn(gate) × up) @ w + b`, that keeps only gate and up for the backward pass.

    This is `jax.checkpoint` around the block: the backward pass evaluates fn again and repeats no matrix product. It
    saves memory under `jax.lax.scan`, and on accelerators. It saves nothing in an unrolled network on CPU, where XLA
    merges the second evaluation of fn with the first.

    Args:
        fn: the activation of the gate, a function of one array.
        gate: its input, shape (..., n).
        up: what the activated gate multiplies, of the same shape.
        w: weights of shape (n, m).
        b: bias of shape (m,). Default None: no bias.

    Returns:
        An array of shape (..., m).

    Raises:
        ValueError: gate and up have different shapes, or the weights do not fit them.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxopt_lite.activations import gated_dense, silu
        >>> gated_dense(silu, jnp.ones((5, 3)), jnp.ones((5, 3)), jnp.ones((3, 2))).shape
        (5, 2)

    Reference:
        Shazeer, 2020, GLU variants improve transformer.
    """
    check_gate("gated_dense", gate, up)
    _fits("gated_dense", gate, w, b)

    def block(gate: jax.Array, up: jax.Array, w: jax.Array, b: jax.Array | None) -> jax.Array:
        return _affine(fn(gate) * up, w, b)

    return jax.checkpoint(block)(gate, up, w, b)


def check_gate(where: str, gate: jax.Array, up: jax.Array) -> None:
    """Raise a ValueError if gate and up do not have one shape."""
    if gate.shape != up.shape:
        raise ValueError(
            f"{where}: gate has shape {gate.shape} and up {up.shape}, but they are multiplied entry by entry; "
            "give both the same shape"
        )


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
