"""Functions of a whole axis: evaluated in float32 or wider, rounded once, keeping only their input."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


@partial(jax.jit, static_argnums=(0, 2))
def widened(function: Callable[..., jax.Array], x: jax.Array, settings: tuple[Any, ...]) -> jax.Array:
    """`function(x, *settings)`, in float32 for half-precision x and rounded once; a backward pass keeps x alone."""

    def rounded(x: jax.Array) -> jax.Array:
        if x.dtype.itemsize >= 4:
            return function(x, *settings)
        return function(x.astype(jnp.float32), *settings).astype(x.dtype)

    return jax.checkpoint(rounded, prevent_cse=False)(x)
