"""A table of the best settings as HTML, for notebooks."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from jaxopt_lite.sweeps._setting import Mean, Setting

_CELL = 'style="text-align:{}"'
MOST_COLUMNS = 6


def html_of(
    heading: str, settings: Sequence[Setting], tied: set[tuple[int, ...]], columns: Sequence[str], scores: Sequence[str]
) -> str:
    """A heading and a table with a row for each setting; all names and values are escaped.

    Args:
        heading: the text above the table.
        settings: the settings of the rows; the first is the best.
        tied: the settings, by `trials`, that are marked `≈`.
        columns: the columns that are shown; of more than 6, the first 6.
        scores: the scores that are shown.
    """
    shown = columns[:MOST_COLUMNS]
    heads = [
        ("", "right"),
        *((name, "left") for name in shown),
        *((name, "right") for name in scores),
        ("runs", "left"),
    ]
    head = "".join(f"<th {_CELL.format(side)}>{escape(name)}</th>" for name, side in heads)
    rows = "".join(_row(nth, setting, setting.trials in tied, shown, scores) for nth, setting in enumerate(settings, 1))
    notes = (
        ["≈ not distinguishable from 1 by the difference paired by seed"] if tied & {s.trials for s in settings} else []
    )
    notes += [f"not shown: {', '.join(columns[MOST_COLUMNS:])}"] if columns[MOST_COLUMNS:] else []
    note = f"<p><small>{escape('; '.join(notes))}</small></p>" if notes else ""
    return (
        f"<div><p>{escape(heading)}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}</div>"
    )


def _row(nth: int, setting: Setting, tied: bool, columns: Sequence[str], scores: Sequence[str]) -> str:
    place = f"{'≈ ' if tied else ''}{nth}" if any(math.isfinite(s.mean) for s in setting.scores.values()) else ""
    cells = [(place, "right"), *((_text(setting.columns[name]), "left") for name in columns)]
    cells += [(_score(setting.scores.get(name)), "right") for name in scores]
    return (
        f"<tr>{''.join(f'<td {_CELL.format(s)}>{escape(t)}</td>' for t, s in [*cells, (_runs(setting), 'left')])}</tr>"
    )


def _text(value: Any) -> str:
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _score(mean: Mean | None) -> str:
    return f"{mean:.4g}" if mean is not None and math.isfinite(mean.mean) else "–"


def _runs(setting: Setting) -> str:
    """`3 done`, or `1 done, 2 pruned at step 56`."""
    counts = {"done": setting.done, "diverged": setting.diverged, "pruned": setting.pruned}
    counts["to do"] = setting.seeds - sum(counts.values())
    text = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    return f"{text} at step {setting.step:,}" if setting.pruned and not setting.done and not counts["to do"] else text
