"""One bit an element: what a function with two slopes keeps for its backward pass."""

import math

import jax
import jax.numpy as jnp

# Packing costs a pass of its own over the array: measured on CPU, a vmapped 64 × 64 MLP step is slower with it, and the
# bytes it saves there (16 KB an activation) do not matter. From this size on it saves memory traffic as well.
LARGE = 1 << 14


def worth_packing(x: jax.Array) -> bool:
    """Whether eight neighbours fill a byte without padding and the array is large enough to matter."""
    return x.ndim > 0 and x.shape[-1] % 8 == 0 and math.prod(x.shape) >= LARGE


def pack(bits: jax.Array) -> jax.Array:
    """Booleans (..., 8n) as bytes (..., n)."""
    return jnp.packbits(bits, axis=-1)


def unpack(packed: jax.Array) -> jax.Array:
    """Bytes (..., n) as booleans (..., 8n)."""
    return jnp.unpackbits(packed, axis=-1).astype(bool)
