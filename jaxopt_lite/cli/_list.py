"""The list command: what there is, by name."""

from pathlib import Path

from jaxopt_lite._names import unknown
from jaxopt_lite.cli import _catalogues, _files
from jaxopt_lite.cli._usage import Usage


def show(what: str | None) -> int:
    """Print the names of a kind, or the tasks, activations and optimizers of a file, one per line.

    Args:
        what: a kind or a file; None for a line about each kind.

    Raises:
        Usage: there is no such kind or file.
    """
    if what is None:
        counts = [(kind, len(_catalogues.titles(kind))) for kind in _catalogues.KINDS]
        _print([[kind, f"{number:3}", f"jaxopt-lite list {kind}"] for kind, number in counts])
        return 0
    if what.endswith(".py"):
        return _show_file(what)
    if what not in _catalogues.KINDS:
        raise Usage(f"{unknown('kind', what, _catalogues.KINDS)}, or a file.py")
    _print([[name, title] for name, title in _catalogues.titles(what).items()])
    return 0


def _show_file(file: str) -> int:
    _files.imported(Path(file))  # complains about the file before anything slow is imported
    from jaxopt_lite.cli import _contents

    described = _contents.of(Path(file))
    if not described:
        raise Usage(f"{file} has no task, activation or optimizer")
    _print([[name, *cells] for name, cells in described.items()])
    return 0


def _print(rows: list[list[str]]) -> None:
    """Print rows of equal length as columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
