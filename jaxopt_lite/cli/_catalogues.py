"""The catalogues as the command line needs them: names and titles, read as text, without importing jax."""

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jaxopt_lite._names import unknown

_PACKAGE = Path(__file__).parents[1]
_FILES = {
    "activations": _PACKAGE / "activations" / "catalogue.toml",
    "optimizers": _PACKAGE / "optimizers" / "catalogue.toml",
    "tasks": _PACKAGE / "training" / "tasks.toml",
}
_TOLD = {"activations": "formula", "optimizers": "formula", "tasks": "title"}


@cache
def rows(kind: str) -> dict[str, dict[str, Any]]:
    """The rows of a catalogue: activations, optimizers or tasks."""
    return tomllib.loads(_FILES[kind].read_text(encoding="utf-8"))


def check(kind: str, names: Iterable[str]) -> None:
    """Raise a ValueError that offers the nearest name where one is not in the catalogue."""
    for name in names:
        if name not in rows(kind):
            raise ValueError(unknown(kind.removesuffix("s"), name, rows(kind)))


def show_list(kind: str) -> int:
    """Print the names of a catalogue, a line each."""
    found = rows(kind)
    width = max(map(len, found))
    for name, row in found.items():
        print(f"{name:{width}}  {row[_TOLD[kind]]}")
    return 0
