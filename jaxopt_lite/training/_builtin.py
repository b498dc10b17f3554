"""The built-in tasks: a data set and the perceptron of its row in tasks.toml."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jaxopt_lite._names import unknown
from jaxopt_lite.flax import MLP
from jaxopt_lite.training import _data
from jaxopt_lite.training._supervised import supervised
from jaxopt_lite.training._task import Task

DATA: dict[str, Callable[[], Any]] = {"digits": _data.digits, "mnist1d": _data.mnist1d, "spirals": _data.spirals}
SETTINGS = ("activation", "optimizer")  # what the trials of these tasks have


def builtin(name: str, batch_size: int | Literal["full"] | None = None, *, diagnose: bool = False) -> Task:
    """A built-in task: a data set and a multilayer perceptron. Its trials have `activation` and `optimizer`.

    A trial with another setting is a `ValueError` when the network is built.

    Args:
        name: `"digits"` (8×8 images, 10 classes), `"mnist1d"` (signals of 40 samples, 10 classes) or `"spirals"`
            (points in the plane, 2 classes).
        batch_size: examples in a step, from 1 to the training examples, or `"full"`. Default: that of the task, in
            `tasks.toml`.
        diagnose: whether the state of the layers is recorded at a few steps; see `supervised`. Default: False.

    Returns:
        The task, of three parts of data, with the objective `validation_accuracy`.

    Raises:
        ValueError: no built-in task has that name, or the batch size is out of range.
        ModuleNotFoundError: the package of the data set is not installed.

    Example:
        >>> from jaxopt_lite import optimizers, training
        >>> from jaxopt_lite.activations import tanh
        >>> trial = {"activation": tanh, "optimizer": optimizers.adam(0.01)}
        >>> trained = training.run(training.builtin("spirals"), trial, steps=2000)
        >>> trained.scores["validation_accuracy"] > 0.95
        True
    """
    with Path(__file__).with_name("tasks.toml").open("rb") as file:
        rows = tomllib.load(file)
    if name not in rows:
        raise ValueError(unknown("task", name, rows))
    row = rows[name]

    def build(trial: Any, rngs: Any) -> MLP:
        unread = [setting for setting in trial if setting not in SETTINGS]
        if unread:
            raise ValueError(f"task {name!r} has no setting {unread[0]!r}: its trials have {' and '.join(SETTINGS)}")
        return MLP(row["sizes"], trial["activation"], rngs=rngs)

    size = row["batch_size"] if batch_size is None else batch_size
    return supervised(build, DATA[name](), batch_size=size, name=name, diagnose=diagnose)
