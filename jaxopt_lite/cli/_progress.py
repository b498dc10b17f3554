"""Progress for people: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

SECONDS_BETWEEN_LINES = 5.0


class Told(Protocol):
    """What a sweep tells of itself: see `sweeps.Progress`."""

    phase: str
    programs: int
    programs_ready: int
    trials: int
    trials_done: int
    trials_diverged: int
    trials_ran: int
    share: float
    share_ran: float
    seconds: float
    best: dict[str, Any] | None


@contextmanager
def shown(objective: str) -> Iterator[Any]:
    """A function to be told of progress; it shows it on standard error."""
    if sys.stderr.isatty():
        with _bar(objective) as tell:
            yield tell
    else:
        yield _Lines(objective)


def sentence(told: Told, objective: str) -> str:
    """Where the sweep stands, in a line."""
    if told.phase == "compile":
        return f"compiling {told.programs_ready}/{told.programs} training programs"
    parts = [f"{told.trials_done}/{told.trials} trials"]
    if told.trials_diverged:
        parts.append(f"{told.trials_diverged} diverged")
    if told.seconds > 0 and told.trials_ran:
        parts.append(f"{told.trials_ran / told.seconds:.1f} trials/s")
    if told.best is not None:
        named = [str(told.best[key]) for key in ("activation", "optimizer") if told.best.get(key) is not None]
        rate = told.best.get("learning_rate")
        named += [f"{rate:.3g}"] if isinstance(rate, float) else []
        parts.append(
            f"best {told.best[objective]:.4f} ({' '.join(named)})" if named else f"best {told.best[objective]:.4f}"
        )
    return ", ".join(parts)


class _Lines:
    def __init__(self, objective: str) -> None:
        self._objective = objective
        self._said = -SECONDS_BETWEEN_LINES
        self._phase = ""

    def __call__(self, told: Told) -> None:
        now = time.monotonic()
        over = told.phase == "run" and told.trials_done == told.trials
        if told.phase == self._phase and not over and now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said, self._phase = now, told.phase
        left = 0.0 if over or not told.share_ran else told.seconds * (1 - told.share) / told.share_ran
        eta = f", about {left:.0f} s left" if left else ""
        print(sentence(told, self._objective) + eta, file=sys.stderr, flush=True)


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

        def tell(told: Told) -> None:
            if told.phase not in bars:
                bars[told.phase] = progress.add_task(told.phase, total=1.0)
            share = told.programs_ready / max(1, told.programs) if told.phase == "compile" else told.share
            progress.update(bars[told.phase], completed=share, description=sentence(told, objective))

        yield tell
