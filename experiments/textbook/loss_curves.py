"""The loss on all training examples along a training, and the step at which it reaches a target."""

from typing import Any

import jax
import numpy as np

from jaxopt_lite import training


def strided(task: training.Task, updates: int) -> training.Task:
    """The task in steps of several updates; the metric `loss` is that on all training examples after each step."""

    def step(trial: Any, carry: Any, data: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        keys = jax.random.split(key, updates)
        carry = jax.lax.fori_loop(0, updates, lambda i, carry: task.step(trial, carry, data, keys[i])[0], carry)
        return carry, {"loss": task.evaluate(trial, carry, data)["train_loss"]}

    return task._replace(step=step)


def steps_to(curve: np.ndarray, updates: int, target: float) -> float:
    """Steps until a loss is reached, interpolated in the logarithm of the loss; infinite if it is not reached.

    Args:
        curve: the loss after each `updates` steps.
        updates: steps between two points of the curve.
        target: the loss.
    """
    below = np.flatnonzero(curve <= target)
    if not len(below) or not np.isfinite(curve[: below[0] + 1]).all():
        return float("inf")
    i = int(below[0])
    if i == 0:
        return float(updates)
    upper, lower = np.log(curve[i - 1]), np.log(curve[i])
    return updates * float(i + (upper - np.log(target)) / (upper - lower))
