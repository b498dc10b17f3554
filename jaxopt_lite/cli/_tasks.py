"""The sweep command's task, and the space of activation × optimizer × learning rate that its flags describe."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax

from jaxopt_lite import activations, optimizers, sweeps, training
from jaxopt_lite.cli import _catalogues, _files
from jaxopt_lite.cli._settings import flag_of, names, rates
from jaxopt_lite.cli._usage import Usage
from jaxopt_lite.training._run import real_scalar, scores
from jaxopt_lite.training.streams._stream import step_data

# The entries of a trial, and the settings of the command that fill them.
ENTRIES = {"activation": ("activation",), "optimizer": ("optimizer", "learning_rate")}


def load(word: str, batch_size: str | None, diagnose: bool = False) -> training.Task:
    """The built-in task called `word`, or the object of `file.py:name`: a task, or a function that returns one.

    Args:
        word: the name.
        batch_size: that of a built-in task; None for its default.
        diagnose: whether its layers are recorded; a task in a file may say so itself.

    Raises:
        Usage: there is no such task, it cannot be made, or its layers are to be recorded and it does not show them.
    """
    task = _named(word, batch_size)
    if diagnose and task.record is None:
        raise Usage(
            f"--diagnose: nothing is known of the layers of {word}; make the task with training.supervised(...), or "
            "give Task(..., record=...) a function"
        )
    return task._replace(diagnose=task.diagnose or diagnose)


def _named(word: str, batch_size: str | None) -> training.Task:
    path = _files.file_of(word)
    if path is None:
        return _builtin(word, batch_size)
    named = _files.object_of(word, {})
    task = named
    if callable(named) and not isinstance(named, training.Task):
        try:
            task = named()
        except Exception as error:
            raise Usage(f"{word} must be a task or a function without arguments: {_files.described(error)}") from error
    if not isinstance(task, training.Task):
        raise Usage(
            f"{word} is of type {type(task).__name__}, not a training.Task; make one with training.supervised(...)"
        )
    return task._replace(name=path.stem) if task.name in ("task", "supervised") else task


def _builtin(name: str, batch_size: str | None) -> training.Task:
    try:
        return training.builtin(name, int(batch_size) if batch_size and batch_size.isdecimal() else batch_size)  # type: ignore[arg-type]
    except ModuleNotFoundError as error:  # a data set of an optional package
        raise Usage(str(error)) from error
    except ValueError as error:
        if batch_size is None:
            raise
        raise Usage(f"--batch-size {batch_size}: {error}") from error


def space(task: training.Task, settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The entries of a trial that the task reads, as distributions.

    Args:
        task: what is trained.
        settings: all settings of the command.
        given: those that the user wrote.

    Raises:
        Usage: a setting that the user wrote has no effect on the task, or names an unusable object.
    """
    for setting in ENTRIES:  # a file may register names that other flags use
        for path in map(_files.file_of, names(settings[setting], flag_of(setting))):
            if path is not None:
                _files.imported(path)
    read = _read(task)
    for entry, filled_by in ENTRIES.items():
        for setting in filled_by:
            if entry not in read and setting in given:
                raise Usage(
                    f"{flag_of(setting)} {given[setting]} has no effect: task {task.name!r} does not read "
                    f"trial[{entry!r}]; use it in the task, or leave {flag_of(setting)} out"
                )
    if not read:
        raise Usage(
            f"task {task.name!r} reads neither trial['activation'] nor trial['optimizer'], so there is nothing to sweep"
        )
    out = {}
    if "activation" in read:
        out["activation"] = sweeps.choice(_activations(task, settings))
    if "optimizer" in read:
        out["optimizer"] = sweeps.choice(_optimizers(settings))
    return out


def _activations(task: training.Task, settings: dict[str, Any]) -> dict[str, Any]:
    functions = _functions("activations", names(settings["activation"], "--activation"))
    for name, function in functions.items():
        row = activations.CATALOGUE.get(name)
        if row is not None and row.kind == "gated":
            raise Usage(f"--activation {name} takes two inputs, so it cannot stand between two dense layers")
        x = jax.ShapeDtypeStruct((2, 4), "float32")
        try:
            y = jax.eval_shape(function, x)
        except Exception as error:
            raise Usage(f"--activation {name} is not a function of one array: {_files.described(error)}") from error
        if getattr(y, "shape", None) != x.shape:
            _trace(task, name, {"activation": function, "optimizer": optimizers.sgd(0.1)})
    return functions


def _optimizers(settings: dict[str, Any]) -> dict[str, Any]:
    given = rates(settings["learning_rate"], settings["trials"])
    rate = sweeps.log_uniform(*given) if isinstance(given, tuple) else sweeps.values(given)
    out = {}
    for name, factory in _functions("optimizers", names(settings["optimizer"], "--optimizer")).items():
        try:
            made = factory(0.1)
        except Exception as error:
            raise Usage(
                f"--optimizer {name} is not a function of the learning rate: {_files.described(error)}"
            ) from error
        if not isinstance(made, optimizers.Transform):
            raise Usage(
                f"--optimizer {name} returns {type(made).__name__}, not an optimizer of this package; "
                "wrap one of optax in optimizers.lift"
            )
        try:
            out[name] = factory(rate)
        except TypeError as error:
            raise Usage(
                f"--optimizer {name} must pass its learning rate on unchanged, because a sweep gives it a "
                f"distribution: {_files.described(error)}"
            ) from error
    return out


def _functions(kind: str, words: list[str]) -> dict[str, Any]:
    """The functions that the words name, by the name that the results show."""
    catalogues: dict[str, Mapping[str, Any]] = {
        "activations": activations.CATALOGUE,
        "optimizers": optimizers.CATALOGUE,
    }
    catalogue = catalogues[kind]
    out: dict[str, Any] = {}
    for word in words:
        if _files.file_of(word) is not None:
            name = word.rpartition(":")[2]
            out[word if name in out else name] = _files.object_of(word, catalogue)
        elif word in catalogue:
            out[word] = catalogue[word].function
        else:
            raise Usage(_catalogues.unknown_name(kind, word, catalogue))
    return out


class _Recorded(dict[str, Any]):
    """A trial that records which of its entries are read."""

    def __init__(self, entries: dict[str, Any], read: set[str]) -> None:
        super().__init__(entries)
        self.read = read

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        self.read.update(super().keys())
        return super().__iter__()

    def items(self) -> Any:
        self.read.update(super().keys())
        return super().items()

    def values(self) -> Any:
        self.read.update(super().keys())
        return super().values()


def _flatten(trial: _Recorded) -> tuple[list[Any], tuple[str, ...]]:
    entries = dict(trial.items())  # a traversal of the whole trial reads every entry
    return list(entries.values()), tuple(entries)


def _unflatten(keys: tuple[str, ...], values: Iterable[Any]) -> Any:
    return dict(zip(keys, values, strict=True))


jax.tree_util.register_pytree_node(_Recorded, _flatten, _unflatten)


def _read(task: training.Task) -> set[str]:
    """The entries of a trial that the task's functions read, found by tracing them once."""
    read: set[str] = set()
    trial = _Recorded({"activation": activations.relu, "optimizer": optimizers.sgd(0.1)}, read)
    _trace(task, "activation and optimizer", trial)
    return read & set(ENTRIES)


def _trace(task: training.Task, label: str, trial: Any) -> None:
    """Trace the task's functions for a trial.

    Raises:
        Usage: one of them fails; `label` says what the trial is.
    """

    def once(key: jax.Array, given: Any, data: Any) -> Any:
        carry, metrics = task.step(trial, task.init(trial, key), given, key)
        named = [real_scalar(task, "step", name, value) for name, value in metrics.items()]
        return named, scores(task, trial, carry, data)

    try:
        jax.eval_shape(once, jax.random.key(0), step_data(task), task.data)
    except Exception as error:
        raise Usage(f"task {task.name!r} fails for a trial of {label}: {_files.described(error)}") from error
