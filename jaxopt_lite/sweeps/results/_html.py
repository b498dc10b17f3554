"""A table of the best settings as HTML, for notebooks."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from jaxopt_lite.sweeps.results._setting import Mean, Setting

_CELL = 'style="text-align:{}"'
MOST_COLUMNS = 6


def html_of(
    heading: str,
    settings: Sequence[Setting],
    tied: set[tuple[int, ...]],
    columns: Sequence[str],
    objective: str,
    tested: str | None,
) -> str:
    """A heading and a table with a row for each setting; all names and values are escaped.

    Args:
        heading: the text above the table.
        settings: the settings of the rows, best first.
        tied: the settings, by `trials`, that are marked `≈`.
        columns: the columns that are shown; of more than 6, the first 6.
        objective: the score that is shown.
        tested: the score on the test part, which is shown for the best setting alone; None if there is none.
    """
    shown, rest = columns[:MOST_COLUMNS], columns[MOST_COLUMNS:]
    heads = [("", "right"), *((name, "left") for name in shown), (objective, "right"), ("runs", "left")]
    head = "".join(f"<th {_CELL.format(side)}>{escape(name)}</th>" for name, side in heads)
    rows = "".join(_row(nth, s, s.trials in tied, shown, objective) for nth, s in enumerate(settings, 1))
    notes = []
    if any(setting.trials in tied for setting in settings):
        notes.append("≈ not distinguishable from 1: the 95 % interval of the difference, paired by seed, includes 0")
    if tested and settings and math.isfinite(settings[0].scores[tested].mean):
        notes.append(f"{tested} of 1, which took no part in the selection: {_score(settings[0].scores[tested])}")
    if rest:
        notes.append(f"not shown: {', '.join(rest)}")
    below = "".join(f"<br>{escape(note)}" for note in notes)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div><p>{escape(heading)}</p>{table}<p><small>{below.removeprefix('<br>')}</small></p></div>"


def _row(nth: int, setting: Setting, tied: bool, columns: Sequence[str], objective: str) -> str:
    score = setting.scores.get(objective)
    place = f"{'≈ ' if tied else ''}{nth}" if score is not None and math.isfinite(score.mean) else ""
    cells = [(place, "right"), *((_text(setting.columns[name]), "left") for name in columns)]
    cells += [(_score(score), "right"), (_runs(setting), "left")]
    return f"<tr>{''.join(f'<td {_CELL.format(side)}>{escape(text)}</td>' for text, side in cells)}</tr>"


def _text(value: Any) -> str:
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _score(mean: Mean | None) -> str:
    if mean is None or not math.isfinite(mean.mean):
        return "–"
    return f"{mean.mean:.4g}" + (f" ± {mean.half_width:.2g}" if math.isfinite(mean.half_width) else "")


def _runs(setting: Setting) -> str:
    """`3 done`, or `1 done, 2 pruned at step 56`."""
    counts = {name: getattr(setting, name) for name in ("done", "diverged", "failed", "pruned")}
    counts["to do"] = setting.seeds - sum(counts.values())
    text = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    return f"{text} at step {setting.step:,}" if setting.pruned and not setting.done and not counts["to do"] else text
