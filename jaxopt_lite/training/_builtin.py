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


def builtin(name: str, batch_size: int | Literal["full"] | None = None) -> Task:
    """The task called `name`: `digits`, `mnist1d` or `spirals`; trials need `activation` and `optimizer`.

    Args:
        name: a row of `tasks.toml`.
        batch_size: rows in a step, by default that of the row.

    Raises:
        ValueError: no built-in task has that name.
    """
    with Path(__file__).with_name("tasks.toml").open("rb") as file:
        rows = tomllib.load(file)
    if name not in rows:
        raise ValueError(unknown("task", name, rows))
    row = rows[name]

    def build(trial: Any, rngs: Any) -> MLP:
        return MLP(row["sizes"], trial["activation"], rngs=rngs)

    return supervised(
        build, DATA[name](), batch_size=row["batch_size"] if batch_size is None else batch_size, name=name
    )
