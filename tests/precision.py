"""What the numbers of a test are computed with: float64, and the compiler's usual fusion."""

from contextlib import AbstractContextManager

import jax

# With the fixture `optimised`, `jax.jit` with these options compiles as it does outside of the tests.
FUSED = {"xla_cpu_use_fusion_emitters": True}


def double() -> AbstractContextManager:
    """float64 switched on, by the name this version of jax has for it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()
