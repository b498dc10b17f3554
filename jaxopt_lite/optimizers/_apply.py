"""Updates put on the parameters."""

from typing import Any

import jax

from jaxopt_lite.optimizers._arithmetic import wider


def apply_updates(params: Any, updates: Any) -> Any:
    """`params + updates`, calculated in the wider of their dtypes and rounded once to that of the parameters.

    The updates of `stochastic_rounding` and `split_master` are float32, such that the sum is exactly the parameter that
    they rounded, and so `optax.apply_updates`, `nnx.Optimizer` and `TrainState` work with them as well.

    Args:
        params: the parameters, a tree of arrays.
        updates: the updates, a tree of the same structure; where one is `None` the parameter stays.

    Returns:
        The new parameters, in the structure and dtypes of `params`.

    Example:
        >>> apply_updates(jnp.zeros(2, jnp.bfloat16), jnp.ones(2))
        Array([1, 1], dtype=bfloat16)
    """

    def leaf(p: Any, u: Any) -> Any:
        if u is None:
            return p
        kind = wider(p.dtype, u.dtype)
        return (p.astype(kind) + u.astype(kind)).astype(p.dtype)

    return jax.tree.map(lambda u, p: leaf(p, u), updates, params, is_leaf=lambda x: x is None)
