"""What is recorded of a supervised run: the state of its network on some of the training examples."""

from collections.abc import Callable, Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxopt_lite import _losses
from jaxopt_lite.diagnostics import Record, record
from jaxopt_lite.flax import assembled

EXAMPLES = 64  # fewer do not tell dead units from rarely active ones


def recorder(build: Callable[[Any, Any], Any], cost: _losses.Loss) -> Callable[[Any, Any, Any], Record]:
    """The function `Task.record` of a supervised task.

    It observes the same training examples at each step, at equal distances in the training part.

    Args:
        build: a function of (trial, rngs) that returns a Flax module.
        cost: the loss of an example.
    """

    def recorded(trial: Any, carry: Any, data: Any) -> Record:
        x, y = data[0]
        rows = observed(len(x))
        x, y = x[rows], y[rows]
        model = assembled(build, trial, carry.weights)
        return record(model, x, lambda outputs: jnp.mean(_losses.per_example(cost, outputs, y)))

    return recorded


def observed(examples: int) -> np.ndarray:
    """The rows that are observed of so many training examples: `EXAMPLES` at equal distances, or all if fewer."""
    return np.linspace(0, examples - 1, min(examples, EXAMPLES)).astype(int)


def recorded_steps(begin: int, end: int) -> Iterable[int]:
    """The steps from `begin` to `end` at which a run is recorded: 0, 32, 1024 and further powers of 32.

    A record takes about as long as six steps of a small network, so few of them are made. They do not depend on the
    length of the run, which may grow.
    """
    steps = [0]
    while steps[-1] < end:
        steps.append(32 * max(1, steps[-1]))
    return [step for step in steps if begin <= step <= end]
