"""Which activation, which optimizer, which settings, and why: compose, sweep and measure in JAX."""
