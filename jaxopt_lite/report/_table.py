"""The leaderboard of a sweep in a terminal: the best setting of each combination, as wide as the terminal allows."""

import math
import textwrap
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from jaxopt_lite._names import count
from jaxopt_lite.report._line import FEW, TIED, Line, leaders, reach, reason_of
from jaxopt_lite.report._study import Study, has_score, score_names, spoken, study_of
from jaxopt_lite.report._verdict import UNSEEN, progress, verdict

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Mean, Results

PICTURE = 25  # characters of the picture of an interval; odd, so that there is a middle
WRAP = 24  # characters of a line in the column of other settings
_OTHERS = "other\nsettings"
_STYLES = {"best": "bold green", "tied": "", "behind": "dim", "unscored": "dim"}
_ASCII = str.maketrans({"≈": "~", "±": "+-", "·": "-", "–": "-", "×": "x", "↑": "^", "↓": "v", "─": "-", "●": "o"})


def table(results: "Results", rows: int = 10) -> "Leaderboard":
    """The best setting of each combination of names (activation × optimizer), best first, as a table for a terminal.

    Without columns of names the rows are the settings themselves. Scores are means with 95 % intervals over seeds
    (Student's t), rounded to what the interval supports. `≈` marks settings that cannot be distinguished from the best:
    the 95 % interval of the difference, paired by seed, includes 0 (`Results.tied`). Where a validation score selects,
    a note has the test score of the selected setting. Columns that do not fit the width are omitted: first the picture
    of the interval, then the other scores, why a setting lost, the diverged runs, and numbers beyond the third.

    Args:
        results: the results of a sweep, finished or not.
        rows: the largest number of rows, at least 1; 10 by default.

    Returns:
        A renderable of rich. `str` gives it as text of 80 columns.

    Raises:
        ValueError: `rows` is less than 1.

    Example:
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"rate": [0.1, 0.1, 0.2, 0.2], "seed": [0, 1, 0, 1], "status": ["done"] * 4,
        ...            "test_loss": [0.50, 0.40, 0.60, 0.51]}
        >>> facts = {"task": "digits", "steps": 10, "seeds": [0, 1]}
        >>> results = sweeps.Results(columns, ("rate",), "test_loss", "min", facts, [{}] * 4, None)
        >>> print(str(report.table(results)).splitlines()[-1])
        digits · 10 steps · 2 seeds · 4 runs
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}: a table without lines says nothing")
    return Leaderboard(study_of(results), rows)


class Leaderboard:
    """A rich renderable that omits columns until it fits the available width."""

    def __init__(self, study: Study, rows: int) -> None:
        self._study = study
        self._findings = verdict(study)
        everyone = leaders(study, self._findings)
        self._lines, self._total = everyone[:rows], len(everyone)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as many columns as fit, and the notes below."""
        signs = _ASCII if options.ascii_only else {}
        columns = self._columns()
        drawn = _drawn(columns, self._lines, signs)
        endless = options.update(max_width=10_000)
        while Measurement.get(console, endless, drawn).maximum > options.max_width and any(c.optional for c in columns):
            columns.remove(max(reversed(columns), key=lambda column: column.optional))
            drawn = _drawn(columns, self._lines, signs)
        yield drawn
        yield Text("")
        for note in self._notes([column.head for column in columns]):
            yield Text(note.translate(signs), style="dim")

    def __str__(self) -> str:
        console = Console(width=80, force_terminal=False, color_system=None)
        with console.capture() as captured:
            console.print(self)
        return captured.get()

    def _columns(self) -> list["_Column"]:
        study, lines = self._study, self._lines
        objective = study.objective
        columns = [_Column("", [_place(line) for line in lines], "right", whole=True)]
        columns += self._swept()
        arrow = {"max": "↑", "min": "↓"}.get(study.mode, "")
        scores = [line.setting.scores[objective] for line in lines if has_score(line.setting, objective)]
        columns.append(
            _Column(f"{_head(objective)} {arrow}", _aligned([line.score for line in lines]), "left", whole=True)
        )
        if any(math.isfinite(m.half_width) for m in scores):
            empty = [""] * (len(lines) - len(scores))
            columns.append(_Column("95 % interval", [*_pictures(scores), *empty], "left", optional=9))
        columns += [
            _Column(_head(name), [line.others[name] for line in lines], "right", optional=5)
            for name in score_names(study)
            if name != objective
        ]
        why = [reason_of(study, line) for line in lines]
        columns += [_Column("why", why, "left", optional=3)] if any(why) else []
        if "diverged" in study.columns["status"]:
            columns.append(_Column("runs\ndiverged", [line.diverged for line in lines], "right", optional=2))
        return columns

    def _swept(self) -> list["_Column"]:
        """A column for each name and for the first few numbers, and one for all other numbers."""
        numbers, lines = self._study.structure.numbers, self._lines
        names = [name for name in (lines[0].swept if lines else ()) if name not in numbers[FEW:]]
        columns = [
            _Column(_head(name), [line.swept[name] for line in lines], "right", whole=True)
            if name in numbers
            else _Column(_head(name), [line.swept[name] for line in lines], "left")
            for name in names
        ]
        if numbers[FEW:] and lines:
            cells = ["\n".join(textwrap.wrap(self._others(line), WRAP)).replace("\xa0", " ") for line in lines]
            columns.append(_Column(_OTHERS, cells, "left", optional=1))
        return columns

    def _others(self, line: Line) -> str:
        """The numbers that have no column, with spaces that do not break between a name and its value."""
        numbers = self._study.structure.numbers[FEW:]
        return ", ".join(f"{spoken(name)} {line.swept[name]}".replace(" ", "\xa0") for name in numbers)

    def _notes(self, heads: list[str]) -> list[str]:
        facts, structure = self._study.facts, self._study.structure
        seeds = count(len(facts["seeds"]), "seed")
        notes = []
        if self._findings.best is None:
            notes.append(self._findings.answer)
        if any(line.standing == "tied" for line in self._lines):
            notes.append(TIED)
        if self._findings.tested:
            notes.append(f"{self._findings.tested} {UNSEEN}")
        if self._findings.confirmed:
            notes.append(f"1 {self._findings.confirmed}")
        if "why" in heads:
            notes.append("why: the reasons in full, and what to change, are on the page and in Results.reasons()")
        if self._study.structure.numbers[FEW:] and _OTHERS not in heads and self._findings.best is not None:
            notes.append("other settings of 1: " + self._others(self._lines[0]).replace("\xa0", " "))
        made = [str(facts.get("task", "")), count(facts.get("steps", 0), "step"), seeds, progress(self._study)]
        if len(self._lines) < self._total:
            made.append(f"best {len(self._lines)} of {self._total} {'combinations' if structure.kinds else 'settings'}")
        notes.append(" · ".join(filter(None, made)))
        if structure.fixed and structure.varying:
            notes.append("not varied: " + ", ".join(f"{spoken(k)} {v}" for k, v in structure.fixed.items()))
        return notes


class _Column(NamedTuple):
    """A column of text. If the table is too wide, the highest `optional` is omitted first, and 0 never."""

    head: str
    cells: list[str]
    justify: Literal["left", "right"]
    optional: int = 0
    whole: bool = False  # never cut short


def _drawn(columns: list[_Column], lines: list[Line], signs: dict[int, str]) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", collapse_padding=True)
    for column in columns:
        drawn.add_column(_text(column.head, signs), justify=column.justify, vertical="bottom", no_wrap=column.whole)
    for i, line in enumerate(lines):
        drawn.add_row(*(_text(column.cells[i], signs) for column in columns), style=_STYLES[line.standing])
    return drawn


def _text(cell: str, signs: dict[int, str]) -> Text:
    return Text(cell.translate(signs), no_wrap=True, overflow="ellipsis")


def _head(name: str) -> str:
    return spoken(name).replace(" ", "\n", 1)


def _place(line: Line) -> str:
    if line.place is None:
        return ""
    return f"≈ {line.place}" if line.standing == "tied" else str(line.place)


def _aligned(texts: list[str]) -> list[str]:
    """Means and intervals with aligned decimal points and ±; other texts unchanged."""
    parts = [text.partition(" ± ") for text in texts]
    numeric = [mean.replace(".", "").lstrip("-").isdigit() for mean, _, _ in parts]
    means = _points([p[0] for p, number in zip(parts, numeric, strict=True) if number])
    widths = _points([p[2] for p, number in zip(parts, numeric, strict=True) if number])
    padded = iter(zip(means, widths, strict=True))
    out = []
    for text, (_, sign, _), number in zip(texts, parts, numeric, strict=True):
        mean, width = next(padded) if number else (text, "")
        out.append(f"{mean}{sign}{width}".rstrip() if number else text)
    return out


def _points(numbers: list[str]) -> list[str]:
    """Numbers padded so that their decimal points are aligned."""
    whole = max((len(n.partition(".")[0]) for n in numbers), default=0)
    total = max((len(n) - len(n.partition(".")[0]) for n in numbers), default=0)
    return [" " * (whole - len(n.partition(".")[0])) + n.ljust(total + len(n.partition(".")[0])) for n in numbers]


def _pictures(scores: list["Mean"]) -> list[str]:
    """Intervals as `──●──` on one scale, from the lowest end of any to the highest."""
    low, high = reach(scores)
    scale = (PICTURE - 1) / (high - low) if high > low else 0.0
    pictures = []
    for mean, half_width in scores:
        wide = half_width if math.isfinite(half_width) else 0.0
        left, middle, right = (round((at - low) * scale) for at in (mean - wide, mean, mean + wide))
        pictures.append(" " * left + "─" * (middle - left) + "●" + "─" * (right - middle))
    return pictures
