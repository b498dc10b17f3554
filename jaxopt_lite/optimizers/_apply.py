"""Updates put on the parameters."""

from typing import Any

import jax

from jaxopt_lite.optimizers._arithmetic import wider


def apply_updates(params: Any, updates: Any, state: Any = None) -> Any:
    """`params + updates`, calculated in the wider of their dtypes and rounded once to the parameters' own.

    `state` is the optimizer's newest state; it is taken so that one call serves every transform.
    `stochastic_rounding` and `split_master` give float32 updates such that this sum is exactly the parameter they
    rounded, which is why `optax.apply_updates`, `nnx.Optimizer` and `TrainState` serve them as well.

    >>> apply_updates(jnp.zeros(2, jnp.bfloat16), jnp.ones(2))
    Array([1, 1], dtype=bfloat16)
    """
    del state

    def leaf(p: Any, u: Any) -> Any:
        if u is None:
            return p
        kind = wider(p.dtype, u.dtype)
        return (p.astype(kind) + u.astype(kind)).astype(p.dtype)

    return jax.tree.map(lambda u, p: leaf(p, u), updates, params, is_leaf=lambda x: x is None)
