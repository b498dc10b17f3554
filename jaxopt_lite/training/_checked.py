"""The functions of a task, called with clear errors for what they may not do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from jaxopt_lite._names import nearest
from jaxopt_lite.diagnostics import Record
from jaxopt_lite.training._shown import shown
from jaxopt_lite.training._task import Task
from jaxopt_lite.training.streams._stream import Stream

Array = jax.Array
_ADVICE = {
    "str": "give the function itself, as activations.relu",
    "int": "give a function, as activations.relu",
    "float": "give a function, as activations.relu",
    "NoneType": "give a function, as activations.relu",
    "list": "in a space write sweeps.choice([...]) for alternatives",
    "tuple": "in a space write sweeps.choice([...]) for alternatives",
}


def check(task: Any) -> None:
    """Check that `task` is a task and its functions can be called.

    Raises:
        TypeError: it is not a `Task`, one of its functions cannot be called, or its stream is not a `Stream`.
        ValueError: it is to be diagnosed and has no function that records the state of its network.
    """
    if not isinstance(task, Task):
        raise TypeError(
            f"task is a {type(task).__name__}, not a training.Task: make one with training.supervised(...), "
            "training.builtin(...) or training.Task(...)"
        )
    for name in ("init", "step", "evaluate"):
        if not callable(getattr(task, name)):
            raise TypeError(f"{name} of task {task.name!r} must be a function, got {getattr(task, name)!r}")
    for name in ("test", "model", "record"):
        if getattr(task, name) is not None and not callable(getattr(task, name)):
            raise TypeError(f"{name} of task {task.name!r} must be a function or None, got {getattr(task, name)!r}")
    if task.diagnose and task.record is None:
        raise ValueError(
            f"task {task.name!r} has diagnose=True and no function record, so nothing is known of its layers: make it "
            "with training.supervised(..., diagnose=True), or give Task(..., record=...) a function of (trial, carry, "
            "data) that returns what diagnostics.record gives"
        )
    if task.stream is not None and not isinstance(task.stream, Stream):
        raise TypeError(f"stream of task {task.name!r} must be a training.Stream, got {task.stream!r}")


def check_number(steps: Any) -> None:
    """Check that `steps` is a number of steps.

    Raises:
        ValueError: it is not.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps < 1 << 31:
        raise ValueError(f"steps must be a whole number from 1 to 2³¹ − 1, got {steps!r}")


def check_steps(task: Task, steps: int) -> None:
    """Check that the stream of a task, if it has one, has batches for so many steps.

    Raises:
        ValueError: it has fewer.
    """
    if task.stream is not None and task.stream.steps is not None and steps > task.stream.steps:
        raise ValueError(
            f"task {task.name!r} has data for {task.stream.steps} steps, got steps={steps}: it reads its data once, in "
            "whole batches. Make fewer steps, or give it smaller batches or more data"
        )


def init(task: Task, trial: Any, key: Array) -> Any:
    """The carry that `task.init` returns.

    Raises:
        TypeError: a leaf of it is no array, but a function or a text for instance.
    """
    with _explained(task, "init", trial):
        carry = task.init(trial, key)
    for leaf in jax.tree.leaves(carry):
        if callable(leaf) or isinstance(leaf, str):
            raise TypeError(
                f"init of task {task.name!r} returns a carry with {leaf!r} in it; its leaves must be arrays. Build "
                "what is no array again in step and evaluate; of an Equinox module keep the arrays, with "
                "eqx.partition(model, eqx.is_array)"
            )
    return carry


def step(task: Task, trial: Any, carry: Any, data: Any, key: Array) -> tuple[Any, dict[str, Any]]:
    """The carry and metrics that `task.step` returns.

    Raises:
        TypeError: it does not return a pair of a carry and a dict, or the carry has other arrays than before.
    """
    with _explained(task, "step", trial):
        found = task.step(trial, carry, data, key)
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)):
        raise TypeError(
            f"step of task {task.name!r} must return (carry, metrics) with a dict of metrics; it returned "
            f"{shown(found)}"
        )
    if not _alike(carry, found[0]):
        raise TypeError(
            f"step of task {task.name!r} must return a carry like the one it is given, {shown(carry)}; it returned "
            f"{shown(found[0])}"
        )
    return found


def evaluate(task: Task, trial: Any, carry: Any, data: Any) -> Mapping[str, Any]:
    """The scores that `task.evaluate` returns.

    Raises:
        TypeError: they are not a dict.
    """
    return _scores(task, "evaluate", trial, carry, data)


def test(task: Task, trial: Any, carry: Any, data: Any) -> Mapping[str, Any]:
    """The scores that `task.test` returns; none if the task has no such function.

    Raises:
        TypeError: they are not a dict.
    """
    return _scores(task, "test", trial, carry, data) if task.test else {}


def record(task: Task, trial: Any, carry: Any, data: Any) -> Record:
    """What `task.record` returns.

    Raises:
        TypeError: it is not a record.
    """
    assert task.record is not None  # as `check` has found
    with _explained(task, "record", trial):
        found = task.record(trial, carry, data)
    if not isinstance(found, Record):
        raise TypeError(
            f"record of task {task.name!r} must return what diagnostics.record gives; it returned {shown(found)}"
        )
    return found


def _scores(task: Task, function: str, trial: Any, carry: Any, data: Any) -> Mapping[str, Any]:
    with _explained(task, function, trial):
        found = getattr(task, function)(trial, carry, data)
    if not isinstance(found, Mapping):
        raise TypeError(f"{function} of task {task.name!r} must return a dict of scores; it returned {shown(found)}")
    return found


@contextmanager
def _explained(task: Task, function: str, trial: Any) -> Iterator[None]:
    """Add the entries of the trial to errors that come from using it."""
    try:
        yield
    except KeyError as error:
        key = error.args[0] if error.args else None
        if not isinstance(trial, dict) or not isinstance(key, str) or key in trial:
            raise
        similar = nearest(key, map(str, trial))
        suggestion = f": is {similar!r} or {key!r} misspelt?" if similar else ""
        raise ValueError(
            f"{function} of task {task.name!r} finds no entry {key!r}; the trial has the entries "
            f"{', '.join(map(str, trial))}{suggestion}"
        ) from error
    except TypeError as error:
        for name, value in trial.items() if isinstance(trial, dict) else ():
            kind = type(value).__name__
            if kind in _ADVICE and str(error) == f"{kind!r} object is not callable":
                raise TypeError(
                    f"{function} of task {task.name!r} calls a {kind}, and the entry {name!r} of the trial is "
                    f"{value!r}: {_ADVICE[kind]}"
                ) from error
        raise


def _alike(before: Any, after: Any) -> bool:
    """Whether two carries agree in structure, shapes and types, as far as JAX does not convert them."""
    structures: list[Any] = [jax.tree.structure(before), jax.tree.structure(after)]
    if structures[0] != structures[1]:
        return False
    old, new = jax.tree.leaves(before), jax.tree.leaves(after)
    weak = (getattr(x, "weak_type", True) for x in old)
    shapes = all(getattr(x, "shape", ()) == getattr(y, "shape", ()) for x, y in zip(old, new, strict=True))
    return shapes and all(w or x.dtype == getattr(y, "dtype", x.dtype) for w, x, y in zip(weak, old, new, strict=True))
