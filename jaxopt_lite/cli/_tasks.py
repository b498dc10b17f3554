"""A task from a word: a built-in name, or an object in a file; and the space that the flags ask for."""

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

import jax

from jaxopt_lite import activations, optimizers, sweeps, training
from jaxopt_lite.cli._main import Usage
from jaxopt_lite.cli._sweep import names, rates


def load(word: str, batch_size: str | None) -> training.Task:
    """The task called `word`, or the object of `file.py:object`: a Task, or a function without arguments giving one."""
    if ":" not in word:
        return training.builtin(
            word, None if batch_size is None else "full" if batch_size == "full" else int(batch_size)
        )
    if batch_size is not None:
        raise Usage("--batch-size is for built-in tasks; the task of a file sets its own")
    file, _, name = word.rpartition(":")
    module = _imported(Path(file))
    if not hasattr(module, name):
        public = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
        raise Usage(f"{file} has no object {name!r}; it has {public}")
    found = getattr(module, name)
    task = found() if callable(found) and not isinstance(found, training.Task) else found
    if not isinstance(task, training.Task):
        raise Usage(
            f"{word} is of type {type(task).__name__}, not a training.Task; make one with training.supervised(...)"
        )
    return task._replace(name=Path(file).stem) if task.name in ("task", "supervised") else task


def space(task: training.Task, settings: dict[str, Any]) -> dict[str, Any]:
    """Activation × optimizer × learning rate; the activation only where the task asks for it."""
    given = rates(settings["learning_rate"], settings["trials"])
    rate = sweeps.log_uniform(*given) if isinstance(given, tuple) else sweeps.values(given)
    chosen = names(settings["optimizer"], "--optimizer")
    out: dict[str, Any] = {}
    if _asks_for(task, "activation"):
        functions = names(settings["activation"], "--activation")
        out["activation"] = sweeps.choice({name: activations.CATALOGUE[name].function for name in functions})
    out["optimizer"] = sweeps.choice({name: optimizers.CATALOGUE[name].function(rate) for name in chosen})
    return out


class _Asked(dict[str, Any]):
    """A trial that remembers what it was asked for."""

    def __init__(self, **entries: Any) -> None:
        super().__init__(entries)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def _asks_for(task: training.Task, entry: str) -> bool:
    """Whether the task's initialisation or step reads this entry of a trial."""
    trial = _Asked(activation=activations.relu, optimizer=optimizers.sgd(0.1))

    def once(key: jax.Array, data: Any) -> Any:
        return task.step(trial, task.init(trial, key), data, key)[1]

    try:
        jax.eval_shape(once, jax.random.key(0), task.data)
    except Exception as error:
        raise Usage(f"task {task.name!r} fails with a trial of activation and optimizer: {_told(error)}") from error
    return entry in trial.asked


def _told(error: BaseException) -> str:
    """An error of the user's own code: kind, text, and the last line that is not of a package."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({Path(error.filename or '').name}, line {error.lineno})"
    own = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in f.filename and "<" not in f.filename
    ]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{where}"


def _imported(path: Path) -> Any:
    if not path.exists():
        raise Usage(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Usage(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.resolve().parent))  # as `python file.py` would: its neighbours can be imported
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise Usage(f"{path} does not import: {_told(error)}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module
