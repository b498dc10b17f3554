"""Names and titles of what the package has, read from its files without importing JAX."""

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jaxopt_lite._names import unknown
from jaxopt_lite.cli import _optax, _sources
from jaxopt_lite.cli._usage import Usage

_PACKAGE = Path(__file__).parents[1]
_FILES = {
    "activations": _PACKAGE / "activations" / "catalogue.toml",
    "optimizers": _PACKAGE / "optimizers" / "catalogue.toml",
    "tasks": _PACKAGE / "training" / "tasks.toml",
}
_TITLES = {"activations": "formula", "optimizers": "formula", "tasks": "title"}
KINDS = ("activations", "optimizers", "wrappers", "schedules", "tasks")


@cache
def rows(kind: str) -> dict[str, dict[str, Any]]:
    """The rows of a catalogue: `activations`, `optimizers` or `tasks`."""
    return tomllib.loads(_FILES[kind].read_text(encoding="utf-8"))


def titles(kind: str) -> dict[str, str]:
    """One line about each name of a kind: its formula, its title, or the first sentence of its documentation."""
    if kind in _FILES:
        return {name: row[_TITLES[kind]] for name, row in rows(kind).items()}
    return {name: function.title for name, function in _sources.functions().items() if function.kind == kind}


def task_card(name: str) -> str:
    """The card of a built-in task."""
    row = rows("tasks")[name]
    facts = {key: row[key] for key in ("data", "model")} | {
        "batch size": row["batch_size"],
        "reads": 'trial["activation"] and trial["optimizer"]',
        "call": f"training.builtin({name!r}); jaxopt-lite sweep {name}",
    }
    return "\n".join([f"{name}: {row['title']}", *(f"  {label:<11}{text}" for label, text in facts.items())])


def check(kind: str, names: Iterable[str]) -> None:
    """Check that every name is a row of a catalogue.

    Raises:
        Usage: one is not; the message offers the nearest name, or says how to use an optimizer of optax.
    """
    for name in names:
        if name not in rows(kind):
            raise Usage(unknown_name(kind, name, rows(kind)))


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not a row of a catalogue."""
    hint = _optax.hint(name) if kind == "optimizers" else None
    return f"unknown optimizer {name!r}: {hint}" if hint else unknown(kind.removesuffix("s"), name, known)
