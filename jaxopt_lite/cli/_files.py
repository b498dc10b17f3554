"""The user's Python files: `file.py:name` on the command line is an object of that file."""

import importlib.util
import sys
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxopt_lite._names import nearest
from jaxopt_lite.cli._usage import Usage


def file_of(word: str) -> Path | None:
    """The file of a word `file.py:name`; None for a word that is only a name.

    Raises:
        Usage: the word names a file without saying which of its objects is meant, or the file does not exist.
    """
    if word.endswith(".py"):
        raise Usage(
            f"{word} is a file: say which of its objects is meant, as {word}:name (see jaxopt-lite list {word})"
        )
    if ":" not in word:
        return None
    path = Path(word.rpartition(":")[0])
    if not path.is_file():
        raise Usage(f"{word}: there is no file {path}")
    return path


def object_of(word: str, registered: Mapping[str, Any]) -> Any:
    """The object that `file.py:name` names: an attribute of the file, or a name that importing the file registers.

    Args:
        word: `file.py:name`.
        registered: the catalogue in which the file may have registered the name.

    Raises:
        Usage: the file fails to import or has no such object.
    """
    path, name = file_of(word), word.rpartition(":")[2]
    assert path is not None
    module = imported(path)
    if hasattr(module, name):
        return getattr(module, name)
    if name in registered:
        return registered[name].function
    objects = sorted(public(module))
    similar = nearest(name, objects)
    suggestion = f"did you mean {similar!r}? " if similar else ""
    raise Usage(f"{path} has no object {name!r}: {suggestion}it has {', '.join(objects) or 'nothing'}")


def public(module: ModuleType) -> dict[str, Any]:
    """The objects of a file by name, without imported modules and private names."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }


def imported(path: Path) -> ModuleType:
    """The module in a file; a file is executed once per process.

    Raises:
        Usage: there is no such file, or executing it fails.
    """
    if not path.is_file():
        raise Usage(f"there is no file {path}")
    try:
        return _imported(path.resolve())
    except Exception as error:
        raise Usage(f"{path} fails to import: {described(error)}") from error


@cache
def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    if str(path.parent) not in sys.path:  # as `python file.py` does, so that it can import the files beside it
        sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def described(error: BaseException) -> str:
    """An error in the user's code in one line: its type, its text, and the last line that is not in a library."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({Path(error.filename or '').name}, line {error.lineno})"
    package = str(Path(__file__).parents[1])
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and "<" not in frame.filename and package not in frame.filename
    ]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{where}"
