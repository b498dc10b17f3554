"""The settings of the sweep command: their defaults, and how their text is read and checked."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from jaxopt_lite._names import unknown
from jaxopt_lite.cli import _catalogues, _files
from jaxopt_lite.cli._usage import Usage

DEFAULTS: dict[str, Any] = {
    "task": "digits",
    "activation": "sigmoid,tanh,relu,leaky_relu",
    "optimizer": "sgd,momentum,adagrad,rmsprop,adam",
    "learning_rate": "1e-4:1:8",
    "trials": None,
    "search": None,
    "stop": None,
    "confirm": None,
    "keep": "1",
    "seeds": 3,
    "steps": 500,
    "batch_size": None,
    "diagnose": False,
}
# The searches of --search, with their settings.
SEARCHES: dict[str, dict[str, Any]] = {
    "grid": {},
    "random": {},
    "quasi-random": {},
    "tpe": {"batch": 16.0},
    "population": {"every": 0.0, "quantile": 0.25, "resample": 0.25},  # 0 stands for a tenth of the steps
}
# The rules of --stop, with their settings.
RULES: dict[str, dict[str, Any]] = {
    "halving": {"eta": 3.0, "first": 1 / 9, "race": True},
    "hyperband": {"eta": 3.0, "first": 1 / 27, "race": True},
    "median": {"first": 1 / 4, "every": 1 / 8},
}
EXTENDABLE = ("trials", "seeds", "steps")  # what --extend may enlarge
FREE = ("keep",)  # what may change when a sweep goes on
_RATES = "--learning-rate takes low:high:count, low:high with --trials, or a list such as 0.01,0.1"


def flag_of(setting: str) -> str:
    """How a setting is written on the command line."""
    return "TASK" if setting == "task" else "--" + setting.replace("_", "-")


def check(settings: dict[str, Any]) -> None:
    """Check everything that can be checked without importing JAX.

    Raises:
        Usage: a setting that cannot work.
    """
    task_file = _files.file_of(settings["task"])
    words = {kind: names(settings[kind], f"--{kind}") for kind in ("activation", "optimizer")}
    files = [word for listed in words.values() for word in listed if _files.file_of(word) is not None]
    if task_file is None and not files:  # otherwise a file may register further names
        for kind, listed in words.items():
            _catalogues.check(f"{kind}s", listed)
    if task_file is None:
        _catalogues.check("tasks", [settings["task"]])
    for name in ("seeds", "steps", "trials"):
        if settings[name] is not None and not 1 <= settings[name] < 1 << 31:
            raise Usage(f"--{name} {settings[name]}: it must be at least 1 and less than 2³¹")
    size = settings["batch_size"]
    if size not in (None, "full") and not (size.isdecimal() and int(size) > 0):
        raise Usage(f"--batch-size {size}: it must be a number of at least 1, or full")
    if size is not None and task_file is not None:
        raise Usage(f"--batch-size {size}: it is for built-in tasks; the task in {task_file} sets its own batch size")
    given = rates(settings["learning_rate"], settings["trials"])
    search, trials = settings["search"], settings["trials"]
    chosen = search_rule(search)
    if chosen and chosen[0] == "grid" and isinstance(given, tuple):
        raise Usage(f"--search grid needs learning rates to try: add a count ({settings['learning_rate']}:8)")
    if chosen and chosen[0] != "grid" and trials is None:
        raise Usage(f"--search {search} needs --trials N, the number of settings to draw")
    stop_rule(settings["stop"])
    confirmed(settings["confirm"])
    kept(settings["keep"])


def search_rule(text: str | None) -> tuple[str, dict[str, Any]] | None:
    """The name of a search of --search and its settings.

    Raises:
        Usage: there is no such search or setting, or a setting is not a number.
    """
    return None if text is None else _rule(text, "--search", "search", SEARCHES)


def stop_rule(text: str | None) -> tuple[str, dict[str, Any]] | None:
    """The name of a rule of --stop and its settings.

    Raises:
        Usage: there is no such rule or setting, or a setting is not a number.
    """
    return None if text in (None, "none") else _rule(str(text), "--stop", "rule", RULES)


def _rule(text: str, flag: str, kind: str, known: dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A name and its settings, from a text such as `halving:eta=3,first=1/9`."""
    name, _, rest = text.partition(":")
    if name not in known:
        raise Usage(f"{flag}: {unknown(kind, name, known)}")
    settings = dict(known[name])
    for word in filter(None, rest.split(",")):
        key, _, value = word.partition("=")
        if key not in settings:
            raise Usage(f"{flag} {name}: {unknown('setting', key, settings)}")
        try:
            settings[key] = {"true": True, "false": False}[value] if key == "race" else float(Fraction(value))
        except (ValueError, KeyError, ZeroDivisionError, OverflowError):
            wanted = "true or false" if key == "race" else "a number such as 3 or 1/9"
            raise Usage(f"{flag} {text}: {key} takes {wanted}, got {value!r}") from None
    return name, settings


def confirmed(text: str | None) -> tuple[int, int] | None:
    """The numbers of settings and seeds of --confirm.

    Raises:
        Usage: the text is not of the form K:N with numbers of at least 1.
    """
    if text is None:
        return None
    parts = text.split(":")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise Usage(f"--confirm {text}: it takes K:N, the number of settings and of further seeds, such as 3:5")
    return int(parts[0]), int(parts[1])


def kept(text: str) -> int | Literal["all"]:
    """The number of settings of --keep.

    Raises:
        Usage: it is neither a number nor `all`.
    """
    if text == "all":
        return "all"
    if not text.isdecimal():
        raise Usage(f"--keep {text}: it must be a number of settings, or all")
    return int(text)


def names(text: str, flag: str) -> list[str]:
    """A comma-separated list without repetitions.

    Raises:
        Usage: the list is empty.
    """
    listed = [name.strip() for name in text.split(",") if name.strip()]
    if not listed:
        raise Usage(f"{flag} is empty: give at least one name")
    return list(dict.fromkeys(listed))


def rates(text: str, trials: int | None) -> list[float] | tuple[float, float]:
    """Learning rates: a list, or the bounds between which `trials` of them are drawn.

    `low:high:count` gives `count` rates spaced evenly on a logarithmic scale, rounded to six digits.

    Raises:
        Usage: the text is none of the accepted forms.
    """
    parts = text.split(":") if ":" in text else text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise Usage(f"--learning-rate {text}: not a number; {_RATES}") from None
    bounds = numbers[:2] if ":" in text else numbers
    if not all(0 < x < math.inf for x in bounds):
        raise Usage(f"--learning-rate {text}: a learning rate must be a positive number; {_RATES}")
    if ":" not in text:
        return list(dict.fromkeys(numbers))
    if len(numbers) not in (2, 3) or numbers[0] >= numbers[1]:
        raise Usage(f"--learning-rate {text}: low must be below high; {_RATES}")
    if len(numbers) == 2:
        if trials is None:
            raise Usage(f"--learning-rate {text} is a continuous range: add a count ({text}:8) or --trials N")
        return numbers[0], numbers[1]
    count = numbers[2]
    if not (math.isfinite(count) and count == int(count) and count >= 2):
        raise Usage(f"--learning-rate {text}: the count must be a whole number of at least 2; {_RATES}")
    ratio = numbers[1] / numbers[0]
    found = [float(f"{numbers[0] * ratio ** (i / (count - 1)):.6g}") for i in range(int(count))]
    if len(set(found)) < len(found):
        raise Usage(f"--learning-rate {text}: the rates would not differ in six digits; give a wider range or fewer")
    return found


def store_name(task: str) -> str:
    """The folder name of a task's sweeps."""
    return "".join(c if c.isalnum() or c == "_" else "-" for c in Path(task.rpartition(":")[0] or task).stem)
