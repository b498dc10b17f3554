"""Functions of a whole axis: evaluated in float32 or wider, rounded once, keeping one array."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def along_axis(
    name: str,
    function: Callable[..., jax.Array],
    keeps_output: bool = False,
    in_half: Callable[..., jax.Array] | None = None,
) -> Callable[[jax.Array, tuple[Any, ...]], jax.Array]:
    """The compiled function of (x, settings) that evaluates `function(x, *settings)` in float32 for half precision.

    Args:
        name: the name in jaxprs and profiles.
        function: a function of an array and static settings.
        keeps_output: its derivative reads the output alone. The backward pass then keeps the output in float32 and
            float64; else, and in half precision, where the rounded output has lost too many digits, it keeps x.
        in_half: the function for half precision, if it differs.
    """

    def evaluate(x: jax.Array, settings: tuple[Any, ...]) -> jax.Array:
        def rounded(x: jax.Array) -> jax.Array:
            if x.dtype.itemsize >= 4:
                return function(x, *settings)
            return (in_half or function)(x.astype(jnp.float32), *settings).astype(x.dtype)

        if keeps_output and x.dtype.itemsize >= 4:
            return rounded(x)
        return jax.checkpoint(rounded, prevent_cse=False)(x)

    evaluate.__name__ = evaluate.__qualname__ = name
    return jax.jit(evaluate, static_argnames="settings")
