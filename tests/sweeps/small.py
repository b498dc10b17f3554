"""A small problem for the tests of sweeps: real training, compiled in about a second."""

from typing import Any

import numpy as np
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
