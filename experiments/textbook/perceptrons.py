"""Perceptrons whose hidden layers can be looked at, while they train and afterwards, as tasks of sweeps."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from experiment import Interval, interval
from flax import nnx

from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers

Function = Callable[[jax.Array], jax.Array]
Look = Callable[[Any, jax.Array], Mapping[str, jax.Array]]
he_normal = jax.nn.initializers.he_normal()


def leaky_normal(slope: Any) -> Any:
    """Normal weights that keep mean squares for a leaky_relu of that slope."""

    def init(key: jax.Array, shape: Any, dtype: Any = jnp.float32) -> jax.Array:
        return initializers.normal()(key, shape, dtype) * jnp.sqrt(2 / (1 + jnp.square(slope))).astype(dtype)

    return init


class Perceptron(nnx.Module):
    """Dense layers of the given sizes with an activation between them; He's normal weights, biases `bias`."""

    def __init__(
        self, sizes: Sequence[int], activation: Any, rngs: nnx.Rngs, bias: Any = 0.0, kernel_init: Any = he_normal
    ) -> None:
        bias_init = lambda key, shape, dtype=jnp.float32: jnp.full(shape, bias, dtype)  # noqa: E731
        *hidden, last = pairwise(sizes)
        self.hidden = nnx.List(
            [nnx.Linear(m, n, kernel_init=kernel_init, bias_init=bias_init, rngs=rngs) for m, n in hidden]
        )
        self.last = nnx.Linear(*last, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.last(x)


def hidden_values(model: Perceptron, x: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
    """Pre-activations and activations of every hidden layer."""
    before, after = [], [x]
    for layer in model.hidden:
        before.append(layer(after[-1]))
        after.append(model.activation(before[-1]))
    return before, after[1:]


def observed(task: training.Task, at_end: Look | None = None, at_steps: Look | None = None) -> training.Task:
    """The task with further scores, of the trained model on the training inputs, and further metrics of each step."""
    assert task.model is not None
    model = task.model

    def evaluate(trial: Any, carry: Any, data: Any) -> dict[str, Any]:
        more = at_end(model(trial, carry), data[0][0]) if at_end else {}
        return {**task.evaluate(trial, carry, data), **more}

    def step(trial: Any, carry: Any, data: Any, key: jax.Array) -> tuple[Any, dict[str, Any]]:
        more = at_steps(model(trial, carry), data[0][0]) if at_steps else {}
        carry, metrics = task.step(trial, carry, data, key)
        return carry, {**metrics, **more}

    return task._replace(evaluate=evaluate, step=step)


def seeds(seed: int, count: int) -> list[int]:
    """The seeds of the trainings of an experiment, which differ for different `seed`."""
    return [100 * seed + i for i in range(count)]


def by_seed(results: sweeps.Results, setting: sweeps.Setting, score: str) -> np.ndarray:
    """A score of a setting for each of its seeds, in their order."""
    return np.array([results.columns[score][row] for row in setting.trials])


def mean(results: sweeps.Results, setting: sweeps.Setting, score: str) -> Interval:
    """The mean of a score over seeds."""
    return interval(by_seed(results, setting, score))


def difference(results: sweeps.Results, a: sweeps.Setting, b: sweeps.Setting, score: str) -> Interval:
    """The difference of a score between two settings, paired by seed."""
    found = results.compare(a, b, score)
    return Interval(found.mean, found.low, found.high)


def chosen(results: sweeps.Results, **columns: Any) -> sweeps.Setting:
    """The best setting by validation among those with the given columns."""
    return next(s for s in results.settings() if all(s.columns[k] == v for k, v in columns.items()))
