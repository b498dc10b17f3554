"""What is trained: three pure functions and the data they are given."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax

Array = jax.Array


class Task(NamedTuple):
    """A training problem, for any trial (a pytree of settings) and any seed.

    Attributes:
        init: `init(trial, key) -> carry`, everything that changes during a run.
        step: `step(trial, carry, data, key) -> (carry, metrics)`, one update; `metrics` is a dict of scalars.
        evaluate: `evaluate(trial, carry, data) -> dict` of scalars, the scores of a run.
        data: a pytree of arrays; it is passed to `step` and `evaluate`, never captured by them.
        name: how tables and stores call the task.
        objective: the score by which runs are ranked.
        mode: `"min"` or `"max"`, whether a small or a large objective is good.
    """

    init: Callable[[Any, Array], Any]
    step: Callable[[Any, Any, Any, Array], tuple[Any, dict[str, Array]]]
    evaluate: Callable[[Any, Any, Any], dict[str, Array]]
    data: Any
    name: str = "task"
    objective: str = "test_loss"
    mode: Literal["min", "max"] = "min"
