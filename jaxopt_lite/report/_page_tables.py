"""The tables of a sweep's page as records for the templates: headers, rows, cells."""

import math
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxopt_lite._names import count
from jaxopt_lite.report._line import FEW, TIED, Line, leaders, lines, ordered, reach, reason_of
from jaxopt_lite.report._numbers import NONE, brief, interval, usual_decimals
from jaxopt_lite.report._pictures._curves import metric_of
from jaxopt_lite.report._search import last_score
from jaxopt_lite.report._study import Study, combination, score_names, spoken
from jaxopt_lite.report._verdict import Verdict

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Mean

MOST = 24  # rows of the leaderboard; the table of all settings has the others
LONGEST = 2000  # rows of the other tables, so that a page of any sweep opens at once


class Head(NamedTuple):
    """A column header.

    Attributes:
        text: the name of the column.
        number: whether the column holds numbers.
        first: the order after the first click; None for a column that does not sort.
        sorted: whether the column is sorted already.
        fold: name of the fold of the table that hides the column; empty for one that always shows.
    """

    text: str
    number: bool = False
    first: str | None = None
    sorted: bool = False
    fold: str = ""


class Interval(NamedTuple):
    """A picture of an interval in percent of its frame.

    Attributes:
        label: its ends as text.
        left: where it begins.
        width: how long it is.
        middle: where its mean is.
        outside: the arrow that points to a mean outside the frame; empty for one inside.
        cut: the ends that the frame cuts off, as "left", "right" or "left right".
    """

    label: str
    left: float
    width: float
    middle: float
    outside: str = ""
    cut: str = ""


class Cell(NamedTuple):
    """A cell; `value` is what it sorts by."""

    text: Any
    number: bool = False
    value: Any = None
    diverged: bool = False
    interval: Interval | None = None
    bar: float | None = None  # length of a bar in percent
    code: str | None = None  # shown below the text
    long: bool = False  # a sentence, which wraps


class Row(NamedTuple):
    """A row; its standing (best, tied, behind, unscored) is its class in the style sheet."""

    cells: list[Cell]
    standing: str = ""


class Table(NamedTuple):
    """A table under a heading; one with an `id` sorts and filters. `folds` are labels of what it hides, by name."""

    title: str
    heads: list[Head]
    rows: list[Row]
    note: str = ""
    caption: str = ""
    id: str = ""
    tall: bool = False
    folds: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple, never changed


class Picture(NamedTuple):
    """A figure of the page under a heading."""

    title: str
    svg: Any
    note: str = ""


def leaderboard(study: Study, findings: Verdict) -> Table | None:
    """The best setting of each combination of names with a picture of its interval; None without names or scores."""
    if findings.best is None or not study.structure.kinds:
        return None
    everyone = leaders(study, findings)
    shown = everyone[:MOST]
    frame = _frame([line.setting.scores[study.objective] for line in shown if line.place])
    several, diverged = len(study.facts["seeds"]) > 1, "diverged" in study.columns["status"]
    score = [Head(f"{spoken(study.objective)} {'↑' if study.mode == 'max' else '↓'}")]
    score += [Head("95 % interval" if several else "")]
    heads = [Head(""), *ordered(study, _swept_heads(study), score)]
    heads += [Head("diverged runs", number=True)] if diverged else []
    rows = [Row(_leader(study, line, frame, diverged), line.standing) for line in shown]
    more = f", best {len(shown)} of {len(everyone)}" if len(shown) < len(everyone) else ""
    seeds = len(study.facts["seeds"])
    note = f"Means and 95 % intervals over {count(seeds, 'seed')}." if several else "One seed."
    if any(line.standing == "tied" for line in shown):
        note = f"{TIED}. {note}"
    if any(cell.interval and cell.interval.cut for row in rows for cell in row.cells):
        note += " An interval that fades out goes on; point at it for its ends."
    title = f"Best of each {' × '.join(map(spoken, study.structure.kinds))}{more}"
    return Table(title, heads, rows, note, folds=_folds(heads))


def settings_table(study: Study, findings: Verdict) -> Table | None:
    """All settings, best first; None where no run has ended."""
    everyone = lines(study, findings)
    if findings.best is None and all(s == "waiting" for s in study.columns["status"]):
        return None
    names = [study.objective, *(name for name in score_names(study) if name != study.objective)]
    scores = [Head(spoken(name), number=True, first=_best_first(study, name)) for name in names]
    scores[0] = scores[0]._replace(sorted=True)
    if len(scores) > 2:
        scores[1:] = [head._replace(fold="scores") for head in scores[1:]]
    confirmed = any(setting.confirmed for setting in study.settings)
    if confirmed:
        scores.insert(1, Head("with further seeds", number=True, first=scores[0].first))
    heads = [*ordered(study, _swept_heads(study, sortable=True), scores), Head("seeds", first="ascending")]
    heads += [Head("why", first="ascending")] if study.reasons else []
    usual = usual_decimals(setting.scores[study.objective] for setting in study.settings if setting.scores)
    rows = [Row(_setting(study, line, names, confirmed, usual), line.standing) for line in everyone[:LONGEST]]
    better = "higher" if study.mode == "max" else "lower"
    caption = (
        f"{_how_many(len(rows), len(everyone))}; {better} is better in {spoken(study.objective)}. "
        "Click on a header to sort."
    )
    return Table(
        "All settings" if len(rows) == len(everyone) else "The best settings",
        heads,
        rows,
        caption=caption,
        id="all",
        tall=True,
        folds=_folds(heads),
    )


def _how_many(shown: int, there: int) -> str:
    """How many settings a table shows."""
    if shown == there:
        return count(there, "setting")
    return f"the best {shown:,} of {there:,} settings; a CSV file (jaxopt-lite report --csv) has all"


def reasons_table(study: Study, findings: Verdict) -> Table | None:
    """Why settings lost, and what to change: of each combination and cause the best setting.

    None where the layers were not recorded.
    """
    if not study.reasons:
        return None
    lost: dict[Any, Line] = {}
    for line in lines(study, findings):
        if reason := study.reasons.get(line.setting.trials):
            lost.setdefault((combination(line.setting, study.structure.kinds), reason.cause), line)
    rows = []
    for line in list(lost.values())[:LONGEST]:
        reason = study.reasons[line.setting.trials]
        remedy = reason.remedies[0] if reason.remedies else None
        swept = [Cell(text, _is_number(study, name)) for name, text in line.swept.items()]
        rows.append(
            Row(
                [*swept, Cell(reason.text, long=True), Cell(remedy.text if remedy else "", code=remedy and remedy.code)]
            )
        )
    several = "Of each combination and cause" if study.structure.kinds else "Of each cause"
    note = (
        f"{several}, the best setting that has it; the table of all settings has a word for each. By the layers, "
        "recorded at a few steps, and by comparison with the other settings. In the code, act is "
        "jaxopt_lite.activations and opt is jaxopt_lite.optimizers."
    )
    heads = [*_swept_heads(study), Head("why"), Head("what to change")]
    return Table("Why the others lost", heads, rows, note if rows else "None has lost.", tall=len(rows) > 12)


def diverged_runs(study: Study) -> Table:
    """Every diverged run, and the step until which it was finite."""
    diverged = {
        i: Cell(_last_finite(study, i), number=True)
        for i, status in enumerate(study.columns["status"])
        if status == "diverged"
    }
    what = "the loss or the objective became NaN or infinite."
    return _runs("Diverged runs", study, Head("finite until step", number=True), diverged, what)


def failed_runs(study: Study) -> Table:
    """Every failed run, and why it failed."""
    failed = {i: Cell(text) for i, text in study.errors.items()}
    what = "the task raised an error, or the process that trained them was lost."
    return _runs("Failed runs", study, Head("error"), failed, what)


def _runs(title: str, study: Study, head: Head, cells: dict[int, Cell], what: str) -> Table:
    """Some runs with their settings and one more cell.

    Args:
        title: the title.
        study: the study.
        head: the head of the last column.
        cells: the cells of the last column, by row of the results.
        what: what became of these runs.
    """
    settings = lines(study, Verdict("", "", [], None, [], ""))
    labels = {i: line.swept for line in settings for i in line.setting.trials}
    heads = [*_swept_heads(study), Head("seed", number=True), head]
    rows = []
    for i, last in list(cells.items())[:LONGEST]:
        swept = [Cell(text, _is_number(study, name)) for name, text in labels[i].items()]
        rows.append(Row([*swept, Cell(study.columns["seed"][i], number=True), last]))
    note = f"{count(len(cells), 'run')} of {study.runs:,}: {what}"
    note += f" The first {LONGEST:,} are shown." if len(cells) > LONGEST else ""
    return Table(title, heads, rows, note if cells else "None.", tall=len(cells) > 12)


def _leader(study: Study, line: Line, frame: tuple[float, float], diverged: bool) -> list[Cell]:
    place = f"≈ {line.place}" if line.standing == "tied" else line.place or ""
    swept = [Cell(text, _is_number(study, name)) for name, text in line.swept.items()]
    score = [Cell(line.score, diverged=not line.place and line.diverged != "0"), Cell("")]
    if line.place:
        score[1] = Cell("", interval=_interval(line.setting.scores[study.objective], *frame))
    cells = [Cell(place, number=True), *ordered(study, swept, score)]
    return [*cells, Cell(line.diverged, number=True)] if diverged else cells


def _setting(study: Study, line: Line, names: list[str], confirmed: bool, usual: int | None) -> list[Cell]:
    setting = line.setting
    swept = []
    for name, text in line.swept.items():
        value = setting.columns[name]
        swept.append(Cell(text, _is_number(study, name), "" if value is None else value))
    texts = {**line.others, study.objective: line.score}
    reached = last_score(study, setting) if not line.place else None
    if reached is not None:
        texts[study.objective] += f": {brief(reached, usual)}"
    scores = [Cell(texts[name], number=True, value=_number(setting.scores.get(name))) for name in names]
    if confirmed:
        mean = setting.confirmed.get(study.objective)
        scores.insert(1, Cell(interval(mean) if mean else NONE, number=True, value=_number(mean)))
    counts = {name: getattr(setting, name) for name in ("done", "diverged", "failed", "pruned")}
    ended = ", ".join(f"{n} {status}" for status, n in counts.items() if n) or "0 done"
    if sum(counts.values()) < setting.seeds:
        ended += f" of {setting.seeds}"
    why = [Cell(reason_of(study, line), value=reason_of(study, line))] if study.reasons else []
    return [
        *ordered(study, swept, scores),
        Cell(ended, value=ended, diverged=bool(setting.diverged or setting.failed)),
        *why,
    ]


def _number(mean: "Mean | None") -> str:
    """The number that a cell sorts by; empty without one."""
    return repr(mean.mean) if mean is not None and math.isfinite(mean.mean) else ""


def _interval(score: "Mean", low: float, high: float) -> Interval:
    """A dot and its whiskers in percent of the frame, cut at its ends."""
    wide = score.half_width if math.isfinite(score.half_width) else 0.0
    size = (high - low) or 1.0
    left, middle, right = (
        round(100 * min(1.0, max(0.0, (at - low) / size)), 1)
        for at in (score.mean - wide, score.mean, score.mean + wide)
    )
    outside = "‹" if score.mean < low else "›" if score.mean > high else ""
    label = f"{score.mean - wide:.4g} to {score.mean + wide:.4g}" if wide else f"{score.mean:.4g}"
    ends = {"left": score.mean - wide < low, "right": score.mean + wide > high}
    cut = " ".join(end for end, is_cut in ends.items() if is_cut)
    return Interval(label, left, round(right - left, 1), middle, outside, cut)


def _frame(scores: list["Mean"]) -> tuple[float, float]:
    """Where the pictures of intervals begin and end: around all means, or the better three quarters if the rest is far.

    Far is three times as far from the best; differences between the good ones would be invisible beside it. Very wide
    intervals are cut at twice the usual width beyond the means.
    """
    kept = scores[: max(3, -(-3 * len(scores) // 4))]
    best, last, worst = scores[0].mean, kept[-1].mean, scores[-1].mean
    if abs(best - worst) <= 3 * abs(best - last):
        kept = scores
    low, high = reach(kept)
    means = [m.mean for m in kept]
    widths = [m.half_width for m in kept if math.isfinite(m.half_width)]
    usual = 2 * statistics.median(widths) if widths else 0.0
    return max(low, min(means) - usual), min(high, max(means) + usual)


def _last_finite(study: Study, row: int) -> str:
    points = study.curves[row].get(metric_of(study) or "")
    if points is None:
        return "–"
    return str(min(int(np.isfinite(points).sum()) * study.facts["stride"], study.facts["steps"]))


def _best_first(study: Study, name: str) -> str:
    """The order in which a column sorts at the first click: best first, ascending where the direction is unknown."""
    return "descending" if study.modes.get(name) == "max" else "ascending"


def _swept_heads(study: Study, sortable: bool = False) -> list[Head]:
    names = study.structure.varying or study.swept
    heads = [Head(spoken(name), _is_number(study, name), "ascending" if sortable else None) for name in names]
    shown = len(study.structure.kinds) + FEW
    many = len(names) > shown + 1  # a fold that hides one column saves nothing
    return [head._replace(fold="settings") if many and nth >= shown else head for nth, head in enumerate(heads)]


def _folds(heads: list[Head]) -> dict[str, str]:
    """What the folds of a table hide, as labels of their check boxes."""
    counts = {fold: sum(head.fold == fold for head in heads) for fold in ("scores", "settings")}
    return {fold: count(number, f"other {fold[:-1]}") for fold, number in counts.items() if number}


def _is_number(study: Study, name: str) -> bool:
    return name in study.structure.numbers
