"""A small problem for the tests of sweeps: real training, compiled in about a second."""

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from jaxopt_lite import activations, optimizers, sweeps, training


class Net(nnx.Module):
    """One hidden layer of eight."""

    def __init__(self, activation: Any, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(4, 8, rngs=rngs)
        self.outer = nnx.Linear(8, 3, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Any) -> Any:
        return self.outer(self.activation(self.inner(x)))


def data(rows: int = 50) -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    y = (x @ rng.normal(size=(4, 3))).argmax(axis=1).astype(np.int32)
    return (x[: rows - 10], y[: rows - 10]), (x[rows - 10 :], y[rows - 10 :])


def task(batch_size: Any = 8) -> training.Task:
    return training.supervised(
        lambda trial, rngs: Net(trial["activation"], rngs), data(), batch_size=batch_size, name="small"
    )


def plain(batch_size: int = 8) -> training.Task:
    """A layer trained on the same data by functions of arrays: a third of the time to trace."""

    def loss(trial: Any, w: Any, rows: Any) -> Any:
        x, y = rows
        logits = trial["activation"](x @ w)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def init(trial: Any, key: Any) -> Any:
        w = 0.1 * jax.random.normal(key, (4, 3))
        return w, trial["optimizer"].init(w)

    def step(trial: Any, carry: Any, data: Any, key: Any) -> Any:
        w, state = carry
        (x, y), _ = data
        rows = jax.random.randint(key, (batch_size,), 0, len(x))
        value, grads = jax.value_and_grad(loss, argnums=1)(trial, w, (x[rows], y[rows]))
        updates, state = trial["optimizer"].update(grads, state, w)
        return (w + updates, state), {"loss": value}

    def evaluate(trial: Any, carry: Any, data: Any) -> Any:
        return {name: loss(trial, carry[0], rows) for name, rows in zip(("train_loss", "test_loss"), data, strict=True)}

    return training.Task(init, step, evaluate, data(), name="plain", merge=True)


def space(rates: Any = (0.01, 0.1, 1.0)) -> dict[str, Any]:
    return {
        "activation": activations.tanh,
        "optimizer": sweeps.choice([optimizers.sgd(sweeps.values(rates)), optimizers.adam(sweeps.values(rates))]),
    }


def columns(results: sweeps.Results) -> list[tuple[Any, ...]]:
    """Every number of every row, as its bits."""
    rows = []
    for row, curve in zip(results.rows(), results.curves, strict=True):
        numbers = tuple(np.float64(v).tobytes() if isinstance(v, float) else v for v in row.values())
        rows.append(numbers + tuple(np.asarray(c).tobytes() for c in curve.values()))
    return rows


def finals(results: sweeps.Results) -> dict[tuple[Any, ...], tuple[bytes, ...]]:
    """Scores and curves by optimizer, learning rate and seed."""
    found = {}
    for row, curve in zip(results.rows(), results.curves, strict=True):
        scores = tuple(np.float64(row[k]).tobytes() for k in ("test_accuracy", "test_loss", "train_loss"))
        key = (row["optimizer"], row["learning_rate"], row["seed"])
        found[key] = (row["status"].encode(), *scores, curve["loss"].tobytes())
    return found
