"""The model that is diagnosed, as a function of arrays."""

from collections.abc import Callable
from typing import Any

from jaxopt_lite.flax import Network, network


def network_of(model: Any, train: bool, call: Callable[[Any, Any], Any] | None) -> Network:
    """`flax.network` of a model.

    Raises:
        TypeError: the model is not a Flax module, or a Linen module without variables.
    """
    if any(base.__module__.split(".")[0] == "equinox" for base in type(model).__mro__):
        raise TypeError(
            f"the model is an Equinox module, {type(model).__name__}; give a Flax module. Of Equinox modules compute "
            "root_mean_square, likeness and dead_share of diagnostics, as docs/how-to/equinox.md shows"
        )
    return network(model, train=train, call=call)
