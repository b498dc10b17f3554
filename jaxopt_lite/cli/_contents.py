"""The tasks, activations and optimizers in a user's file."""

import inspect
from pathlib import Path
from typing import Any

import jax

from jaxopt_lite import training
from jaxopt_lite.cli import _files


def of(path: Path) -> dict[str, tuple[str, str]]:
    """What a file has for the command line: by name, its kind and one line about it.

    A task is a `training.Task`; an activation maps an array to one of the same shape; an optimizer is a function with
    a parameter `learning_rate`. Names that the file registers are listed whatever their variables are called.
    """
    module = _files.imported(path)
    out = {}
    for name, value in _files.public(module).items():
        kind = _kind(value) if getattr(value, "__module__", module.__name__) == module.__name__ else None
        if kind is not None:
            out[name] = (kind, _title(value))
    for kind, names in registered(path).items():
        out |= {name: (kind, row.formula) for name, row in names.items()}
    return out


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
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ") if callable(value) else ""


def registered(path: Path) -> dict[str, dict[str, Any]]:
    """The catalogue rows that importing a file adds, by kind and name."""
    _files.imported(path)
    return {}


def card(word: str) -> str:
    """The documentation of `file.py:name`: its signature and docstring."""
    value = _files.object_of(word, {})
    name = word.rpartition(":")[2]
    if not callable(value):
        return f"{name}: {type(value).__name__}"
    return f"{name}{inspect.signature(value)}\n\n{inspect.getdoc(value) or 'It has no docstring.'}"
