"""Types of the settings of an optimizer."""

from typing import Any, Protocol, TypeAlias

import jax
import numpy as np


class Placeholder(Protocol):
    """An object that stands for a number until a sweep draws it, as `sweeps.log_uniform(1e-4, 0.1)` does."""

    def quantile(self, u: float, /) -> Any:
        """The number below which a share `u` of the distribution lies."""


Number: TypeAlias = float | np.number | jax.Array | Placeholder
"""A number that may vary: a Python or NumPy number, a scalar array, a tracer, or what a sweep replaces by one."""


class Schedule(Protocol):
    """A function of the step count that gives the value of a setting: any callable with this signature is one.

    A schedule may stand for every number of an optimizer. Those of this package are pytrees whose numbers are leaves,
    so that a sweep, `vmap` or `grad` can vary them. A class of your own is such a pytree if it is a `NamedTuple` of
    numbers with a `__call__`; its numbers are stored in the optimizer's state as float32 scalars, and
    checkpoints keep them. A class registered with `jax.tree_util.register_dataclass` works too, and may have static
    fields. A plain function is accepted as well: it counts as static structure, so that another function compiles
    another program.

    Example:
        >>> from typing import Any, NamedTuple
        >>> class Halving(NamedTuple):
        ...     init_value: Any
        ...     every: Any
        ...
        ...     def __call__(self, count):
        ...         return self.init_value * 0.5 ** (count // self.every)
        >>> tx = sgd(Halving(0.8, every=100))
        >>> jax.tree.leaves(tx)
        [0.8, 100]
        >>> Halving(0.8, every=100)(250)
        0.2
    """

    def __call__(self, count: Any, /) -> Any:
        """The value of the setting at a step.

        Args:
            count: the number of steps done before, an integer scalar: 0 at the first step.

        Returns:
            A floating scalar.
        """


Setting: TypeAlias = Number | Schedule
"""What an optimizer accepts for a setting: a number, an array, a tracer or a schedule."""
