"""Any row of the catalogue as a function of single numbers, to be drawn, audited and compared."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.activations._catalogue import Activation


def probe(row: Activation) -> Callable[..., jax.Array]:
    """The row as a function of single numbers: f(x); a gate with 1 beside it; the first of two entries, 0 the other.

    Settings without a default are those of the row, learned numbers start as in the row; keywords replace either.
    """

    def one(x: jax.Array, **settings: Any) -> jax.Array:
        settings = {**row.settings, **{k: jnp.asarray(v) for k, v in row.initial.items()}, **settings}
        if row.kind == "elementwise":
            return row.function(x, **settings)
        pair = (jnp.ones_like(x), x) if row.kind == "gated" else (x, jnp.zeros_like(x))
        return row.function(jnp.stack(pair, -1), **settings)[..., 0]

    return one
