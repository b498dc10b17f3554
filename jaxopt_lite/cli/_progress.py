"""Progress for people: a bar on a terminal, a line every few seconds elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxopt_lite import sweeps
from jaxopt_lite.sweeps._lines import Lines, sentence


@contextmanager
def shown(objective: str) -> Iterator[Any]:
    """A function to be told of progress; it shows it on standard error."""
    if sys.stderr.isatty():
        with _bar(objective) as tell:
            yield tell
    else:
        yield Lines(objective)


@contextmanager
def _bar(objective: str) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, Any] = {}

        def tell(told: sweeps.Progress) -> None:
            if told.phase not in bars:
                bars[told.phase] = progress.add_task(told.phase, total=1.0)
            share = told.programs_ready / max(1, told.programs) if told.phase == "compile" else told.share
            progress.update(bars[told.phase], completed=share, description=sentence(told, objective))

        yield tell
