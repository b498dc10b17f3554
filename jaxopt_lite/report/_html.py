"""The tables of a sweep's page as HTML; everything that comes from data is escaped."""

import math
import statistics
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lite.report._curves import metric_of
from jaxopt_lite.report._line import Line, leaders, lines, reach
from jaxopt_lite.report._numbers import count
from jaxopt_lite.report._study import Study, score_names, spoken
from jaxopt_lite.report._verdict import Verdict

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Mean

MOST = 24  # lines of the leaderboard; all settings follow in their own table


def leaderboard(study: Study, found: Verdict) -> str:
    """The best setting of each combination of names with a picture of its interval; nothing without names or scores."""
    if found.best is None or not study.structure.kinds:
        return ""
    everyone = leaders(study, found)
    shown = everyone[:MOST]
    scores = [line.setting.scores[study.objective] for line in shown if line.place]
    frame = _frame(scores)
    head = [_th(""), *_swept_heads(study), _th(_objective(study)), _th("95 % interval")]
    head += [_th("diverged runs", number=True)] if "diverged" in study.columns["status"] else []
    body = "".join(_leader(study, line, frame, len(head)) for line in shown)
    what = " × ".join(spoken(name) for name in study.structure.kinds)
    more = f", best {len(shown)} of {len(everyone)}" if len(shown) < len(everyone) else ""
    tied = (
        "≈: not distinguishable from the best (the 95 % interval of the difference includes 0). "
        if any(line.standing == "tied" for line in shown)
        else ""
    )
    note = f'<p class="note">{tied}Means and 95 % intervals over {count(len(study.facts["seeds"]), "seed")}.</p>'
    table = f"<table><thead><tr>{''.join(head)}</tr></thead><tbody>{body}</tbody></table>"
    return f"<h2>Best of each {escape(what)}{more}</h2>{note}{_scroll(table, 'Leaderboard')}"


def settings_table(study: Study, found: Verdict) -> str:
    """All settings, best first; the headers sort, a field above filters."""
    everyone = lines(study, found)
    if found.best is None and all(s == "waiting" for s in study.columns["status"]):
        return ""
    head = [*_swept_heads(study, sortable=True)]
    head.append(
        _th(
            spoken(study.objective),
            number=True,
            sortable=True,
            first=_best_first(study, study.objective),
            sorted_now=True,
        )
    )
    others = score_names(study)[1:]
    head += [_th(spoken(name), number=True, sortable=True, first=_best_first(study, name)) for name in others]
    head.append(_th("seeds", sortable=True))
    body = "".join(_setting(study, line, others) for line in everyone)
    better = "higher" if study.mode == "max" else "lower"
    caption = (
        f"{count(len(everyone), 'setting')}; in {escape(spoken(study.objective))} {better} is better. The headers sort."
    )
    table = (
        f'<table class="sortable" id="all"><caption>{caption}</caption>'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{body}</tbody></table>"
    )
    field = '<input type="search" id="all-filter" placeholder="filter, as tanh adam" aria-label="Filter the settings">'
    return f"<h2>All settings</h2>{field}{_scroll(table, 'All settings', tall=True)}"


def lost_runs(study: Study) -> str:
    """Every diverged run, and about how far it came."""
    rows = [i for i, status in enumerate(study.columns["status"]) if status == "diverged"]
    if not rows:
        return '<h2>Diverged runs</h2><p class="note">None.</p>'
    settings = lines(study, Verdict("", "", [], None, [], ""))
    labels = {i: line.swept for line in settings for i in line.setting.trials}
    head = [*_swept_heads(study), _th("seed", number=True), _th("finite until step", number=True)]
    body = ""
    for i in rows:
        cells = [_td(text, number=_is_number(study, name)) for name, text in labels[i].items()]
        cells += [_td(study.columns["seed"][i], number=True), _td(_last_finite(study, i), number=True)]
        body += f"<tr>{''.join(cells)}</tr>"
    share = f"{count(len(rows), 'run')} of {study.runs:,}: a loss or a parameter stopped being a number."
    table = f"<table><thead><tr>{''.join(head)}</tr></thead><tbody>{body}</tbody></table>"
    return f'<h2>Diverged runs</h2><p class="note">{share}</p>{_scroll(table, "Diverged runs", tall=len(rows) > 12)}'


def _leader(study: Study, line: Line, frame: tuple[float, float], width: int) -> str:
    cells = [_td(f"≈ {line.place}" if line.standing == "tied" else line.place or "", number=True)]
    cells += [_td(text, number=_is_number(study, name)) for name, text in line.swept.items()]
    lost = ' class="lost"' if not line.place and line.diverged != "0" else ""
    cells.append(f"<td{lost}>{escape(line.score)}</td>")
    cells.append(f"<td>{_range(line.setting.scores[study.objective], *frame)}</td>" if line.place else "<td></td>")
    if len(cells) < width:
        cells.append(_td(line.diverged, number=True))
    return f'<tr class="{line.standing}">{"".join(cells)}</tr>'


def _setting(study: Study, line: Line, others: list[str]) -> str:
    cells = []
    for name, text in line.swept.items():
        value = line.setting.columns[name]
        cells.append(_td(text, number=_is_number(study, name), value="" if value is None else value))
    cells.append(_score(line, study.objective, line.score))
    cells += [_score(line, name, line.others[name]) for name in others]
    setting = line.setting
    fate = f"{setting.done} done" + (f", {setting.diverged} diverged" if setting.diverged else "")
    if setting.done + setting.diverged < setting.seeds:
        fate += f" of {setting.seeds}"
    lost = ' class="lost"' if setting.diverged else ""
    cells.append(f'<td{lost} data-v="{escape(fate)}">{escape(fate)}</td>')
    return f'<tr class="{line.standing}">{"".join(cells)}</tr>'


def _score(line: Line, name: str, text: str) -> str:
    mean = line.setting.scores[name].mean if name in line.setting.scores else math.nan
    return _td(text, number=True, value=repr(mean) if math.isfinite(mean) else "")


def _range(score: "Mean", low: float, high: float) -> str:
    """A dot and its whiskers in percent of the frame, cut where they leave it."""
    wide = score.half_width if math.isfinite(score.half_width) else 0.0
    size = (high - low) or 1.0
    left, middle, right = (
        min(1.0, max(0.0, (at - low) / size)) for at in (score.mean - wide, score.mean, score.mean + wide)
    )
    inside = low <= score.mean <= high
    dot = f'<b style="left:{100 * middle:.1f}%"></b>' if inside else f"<s>{'‹' if score.mean < low else '›'}</s>"
    spoken_range = f"{score.mean - wide:.4g} to {score.mean + wide:.4g}"
    return (
        f'<div class="range" role="img" aria-label="{spoken_range}">'
        f'<i style="left:{100 * left:.1f}%;width:{100 * (right - left):.1f}%"></i>{dot}</div>'
    )


def _frame(scores: list["Mean"]) -> tuple[float, float]:
    """Where the pictures of intervals begin and end: around all means, or the better three quarters if the rest is far.

    Far is three times as far from the best; the good ones could not be told apart beside it. Very wide intervals are
    cut at twice the usual width beyond the means.
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


def _objective(study: Study) -> str:
    return f"{spoken(study.objective)} {'↑' if study.mode == 'max' else '↓'}"


def _best_first(study: Study, name: str) -> str:
    """The order in which a column sorts at the first click: best first, ascending where the direction is unknown."""
    return "descending" if study.modes.get(name) == "max" else "ascending"


def _swept_heads(study: Study, sortable: bool = False) -> list[str]:
    names = study.structure.varying or study.swept
    return [_th(spoken(name), number=_is_number(study, name), sortable=sortable) for name in names]


def _is_number(study: Study, name: str) -> bool:
    return name in study.structure.numbers


def _th(
    text: str, number: bool = False, sortable: bool = False, first: str = "ascending", sorted_now: bool = False
) -> str:
    kind = ' class="n"' if number else ""
    if not sortable:
        return f'<th scope="col"{kind}>{escape(text)}</th>'
    now = f' aria-sort="{first}"' if sorted_now else ""
    return f'<th scope="col"{kind} data-first="{first}"{now}><button type="button">{escape(text)}</button></th>'


def _td(text: Any, number: bool = False, value: Any = None) -> str:
    kind = ' class="n"' if number else ""
    sort = f' data-v="{escape(str(value), quote=True)}"' if value is not None else ""
    return f"<td{kind}{sort}>{escape(str(text))}</td>"


def _scroll(inner: str, name: str, tall: bool = False) -> str:
    kind = "scroll tall" if tall else "scroll"
    return f'<div class="{kind}" tabindex="0" role="region" aria-label="{escape(name, quote=True)}">{inner}</div>'
