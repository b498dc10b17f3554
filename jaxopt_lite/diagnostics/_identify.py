"""The name of an activation, from the operations it consists of or else from its values."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.diagnostics._layer import Sample

_FREQUENT = ("gelu", "gelu_exact", "silu", "mish", "leaky_relu", "elu", "softplus", "prelu")
_POINTS = 64


def name_of(steps: Sequence[str], reference: Sample | None = None) -> str:
    """The name of an activation in the catalogue; of one that is not there, the operations it consists of.

    Args:
        steps: names of its operations.
        reference: its values at standard normal z. Default None: they are not known.
    """
    known = [step for step in steps if step in CATALOGUE]
    if len(known) == 1 and CATALOGUE[known[0]].kind == "elementwise" and len(steps) == 1:
        return known[0]
    if reference is not None and reference.z.size >= _POINTS:
        z, values = reference.z[:_POINTS], reference.activation[:_POINTS]
        for name in dict.fromkeys([*_FREQUENT, *CATALOGUE]):
            row = CATALOGUE[name]
            if row.kind != "elementwise" or name == "identity":
                continue
            apart = np.abs(np.asarray(row.probe(jnp.asarray(z))) - values)
            if np.quantile(apart / (1 + np.abs(values)), 0.9) < 1e-5:
                return name
    return known[-1] if known else "·".join(dict.fromkeys(steps))
