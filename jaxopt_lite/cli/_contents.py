"""The tasks, activations and optimizers in a user's file."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxopt_lite import activations, optimizers, report, training
from jaxopt_lite.cli import _catalogues, _files


def of(path: Path) -> dict[str, tuple[str, str]]:
    """What a file has for the command line.

    A task is a `training.Task`; an activation maps an array to one of the same shape; an optimizer is a function with
    a parameter `learning_rate`. Names that the file registers are listed whatever their variables are called.

    Args:
        path: the file; it is executed.

    Returns:
        By name, its kind (`task`, `activation` or `optimizer`) and one line about it.

    Raises:
        Usage: there is no such file, or executing it fails.
    """
    module = _files.imported(path)
    out = {}
    for name, value in _files.public(module).items():
        here = isinstance(value, training.Task) or getattr(value, "__module__", module.__name__) == module.__name__
        kind = _kind(value) if here else None
        if kind is not None:
            out[name] = (kind, _title(value))
    return out | {name: (kind, row.formula) for name, (kind, row) in registered(path).items()}


def _kind(value: Any) -> str | None:
    if isinstance(value, training.Task):
        return "task"
    if not callable(value) or inspect.isclass(value):
        return None
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return None
    if "learning_rate" in parameters:
        return "optimizer"
    return "activation" if _is_activation(value) else None


def _is_activation(function: Any) -> bool:
    x = jax.ShapeDtypeStruct((2, 4), "float32")
    try:
        y = jax.eval_shape(function, x)
    except Exception:  # whatever the function requires, an array is not it
        return False
    return getattr(y, "shape", None) == x.shape


def _title(value: Any) -> str:
    if isinstance(value, training.Task):
        return f"ranked by {value.objective} ({value.mode})"
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ") if callable(value) else ""


def registered(path: Path) -> dict[str, tuple[str, Any]]:
    """The catalogue rows that user files have registered once this one is imported: by name, the kind and the row."""
    _files.imported(path)
    catalogues: dict[str, Mapping[str, Any]] = {
        "activations": activations.CATALOGUE,
        "optimizers": optimizers.CATALOGUE,
    }
    return {
        name: (kind.removesuffix("s"), row)
        for kind, catalogue in catalogues.items()
        for name, row in catalogue.items()
        if name not in _catalogues.rows(kind)
    }


def card(word: str) -> str:
    """The card of `file.py:name`: its signature and docstring, and the package's card if the file registers it.

    Args:
        word: `file.py:name`.

    Raises:
        Usage: there is no such file or name, or executing the file fails.
    """
    path, name = _files.file_of(word), word.rpartition(":")[2]
    assert path is not None
    rows = {registered_name: row for registered_name, (_, row) in registered(path).items()}
    value = _files.object_of(word, rows)
    if isinstance(value, training.Task):
        return _task_card(name, value)
    if not callable(value):
        return f"{name}: {type(value).__name__}"
    paragraphs = [f"{name}{inspect.signature(value)}", inspect.getdoc(value) or ""]
    paragraphs += [_row_text(name, rows[name])] if name in rows else []
    return "\n\n".join(filter(None, paragraphs))


def _row_text(name: str, row: Any) -> str:
    """The facts of a catalogue row, as the package's cards show them below their heading."""
    card = report.optimizer_card if isinstance(row, optimizers.Optimizer) else report.activation_card
    return card(name, row._asdict()).partition("\n")[2]


def _task_card(name: str, task: training.Task) -> str:
    """The name of a task, its score and the arrays that it is trained on."""
    arrays = ", ".join(f"{x.dtype}{list(x.shape)}" for x in map(np.asarray, jax.tree.leaves(task.data)))
    rows = {
        "name": task.name,
        "objective": f"{task.objective}, {'larger' if task.mode == 'max' else 'smaller'} is better",
        "data": arrays or "none",
    }
    if task.stream is not None:
        rows["stream"] = task.stream.identity
    return "\n".join([f"{name}: a task", *(f"{label:11}{text}" for label, text in rows.items())])
