"""The parameters that a run is evaluated with."""

from typing import Any

from jaxopt_lite.optimizers.wrappers._average import averaged_if_any


def evaluated(state: Any, params: Any) -> Any:
    """The averaged parameters if an optimizer's state holds an average (`optimizers.average`), else `params`."""
    mean = averaged_if_any(state, params)
    return params if mean is None else mean
