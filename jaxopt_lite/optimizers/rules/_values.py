"""The settings of one step, or the moments of one array, as attributes."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite import _names
from jaxopt_lite.optimizers._arithmetic import cast


class Values:
    """Named values that the maths of a rule reads as attributes: `s.b1`, `m.mu`.

    Args:
        values: the values by name.

    Example:
        >>> s = Values({"learning_rate": 0.5})
        >>> s.replace(rate=-s.learning_rate).rate
        -0.5
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self._casts: dict[Any, Values] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_values", "_casts"):
            raise AttributeError(name)  # asked for by copy and pickle before the values are set
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(_names.unknown("value", name, self._values)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def replace(self, **changes: Any) -> "Values":
        """The same values with some changed or added.

        Args:
            **changes: the new values by name.

        Returns:
            A new record.
        """
        return Values(self._values | changes)

    def cast(self, dtype: Any) -> "Values":
        """The same values, arrays among them in `dtype`.

        Args:
            dtype: a floating dtype.

        Returns:
            A record; the same one for the same dtype, so that each number is converted once per step.
        """
        if dtype not in self._casts:
            self._casts[dtype] = Values({name: _cast(x, dtype) for name, x in self._values.items()})
        return self._casts[dtype]


def _cast(x: Any, dtype: Any) -> Any:
    return cast(x, dtype) if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating) else x
