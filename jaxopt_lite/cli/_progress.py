"""Progress of a sweep on standard error: a bar on a terminal, a line every few seconds elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jaxopt_lite.sweeps import Progress
from jaxopt_lite.sweeps._lines import Lines, sentence

Show = Callable[[Progress], None]


@contextmanager
def shown(objective: str) -> Iterator[Show]:
    """A function that shows the progress it is given; `objective` is the score that it reports."""
    if sys.stderr.isatty():
        with _bar(objective) as show:
            yield show
    else:
        yield Lines(objective)


@contextmanager
def _bar(objective: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    columns = [
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=10),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
    ]
    with Bars(*columns, console=Console(stderr=True), expand=True) as bars:
        phases: dict[str, TaskID] = {}

        def show(progress: Progress) -> None:
            if progress.phase not in phases:
                phases[progress.phase] = bars.add_task(progress.phase, total=1.0)
            compiled = progress.programs_ready / max(1, progress.programs)
            share = compiled if progress.phase == "compile" else progress.share
            bars.update(phases[progress.phase], completed=share, description=sentence(progress, objective))

        yield show
