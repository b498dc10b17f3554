"""A function of one trial as a function of C trials."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def mapped(function: Callable[..., Any], width: int) -> Callable[..., Any]:
    """`vmap(function)` for `width` trials; of one trial the axis is removed and put back."""
    if width > 1:
        return jax.vmap(function)

    def alone(*inputs: Any) -> Any:
        out = function(*jax.tree.map(lambda x: jnp.squeeze(x, 0), inputs))
        return jax.tree.map(lambda x: jnp.expand_dims(x, 0), out)

    return alone
