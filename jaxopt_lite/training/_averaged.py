"""The parameters that a run is evaluated with."""

from typing import Any

from jaxopt_lite.optimizers import averaged


def evaluated(state: Any, params: Any) -> Any:
    """The averaged parameters if an optimizer's state holds an average (`optimizers.average`), else `params`."""
    try:
        return averaged(state, params)
    except ValueError as error:
        if "without an average" not in str(error):  # an average of other parameters
            raise
        return params
