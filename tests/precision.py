"""float64, switched on for a block of a test."""

from contextlib import AbstractContextManager

import jax


def double() -> AbstractContextManager:
    """float64 switched on, by the name this version of jax has for it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()
