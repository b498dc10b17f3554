"""The part of a page about the search: rungs, compute, settings and score, and the importance of each setting."""

import math
from typing import Any

from jaxopt_lite._names import count
from jaxopt_lite.report._importance import Importance, importance_of
from jaxopt_lite.report._numbers import NONE, interval, title, usual_decimals
from jaxopt_lite.report._page_tables import Cell, Head, Picture, Row, Table
from jaxopt_lite.report._pictures import _best_so_far, _parallel, _rungs
from jaxopt_lite.report._pictures._inline import inline
from jaxopt_lite.report._pictures._parallel import MOST_AXES, MOST_LINES
from jaxopt_lite.report._search import Rung, compute_of, last_score, moments, rungs_of, searched, stopped_early
from jaxopt_lite.report._study import Study, has_score, spoken
from jaxopt_lite.report._verdict import UNSEEN, Verdict

FAINT = 0.3  # R² below which the importance of settings says little


def search_section(study: Study, findings: Verdict, pictures: bool) -> list[Picture | Table]:
    """The pictures and tables about the search of a sweep; nothing for a grid that was trained to its end."""
    if not searched(study):
        return []
    parts: list[Picture | Table] = []
    found = rungs_of(study)
    if len(found) > 1:
        if pictures:
            heading = "Scores of the generations" if study.population else "Who was stopped where"
            parts.append(_drawn(heading, _rungs.picture(study), "r", _rungs_note(study, found)))
        parts.append(_rung_table(study, found))
    if pictures and len(moments(study)) > 1:
        parts.append(_drawn("Best score so far", _best_so_far.picture(study), "b", _compute_note(study, findings)))
    if pictures and findings.best is not None and len(study.structure.varying) > 1:
        parts.append(_drawn("Settings and their score", _parallel.picture(study), "p", _parallel_note(study)))
    if study.structure.varying and findings.best is not None:
        parts.append(_importance_table(study))
    return parts


def _drawn(heading: str, figure: Any, name: str, note: str) -> Picture:
    return Picture(heading, inline(figure, name, f"{heading}. {note}"), note)


def _rungs_note(study: Study, found: list[Rung]) -> str:
    if study.population:
        return (
            "Each line is a member, its colour the place at the end. Where a line jumps, the member continued from a "
            "copy of another with other numbers."
        )
    first, best = found[0], study.settings[0]
    note = (
        "Each line is a setting, its colour the place at the end. A dash ends the line of a setting that was stopped."
    )
    if has_score(best, study.objective) and first.place is not None:
        note += (
            f" The best setting at the end had place {first.place} of {len(first.settings):,} at step {first.step:,}, "
            f"where {first.stopped:,} of them were stopped."
        )
    if len({study.batches[row] for setting in study.settings for row in setting.trials}) > 1:
        note += " Settings were compared and stopped batch by batch."
    return note


def _rung_table(study: Study, found: list[Rung]) -> Table:
    usual = usual_decimals(rung.best for rung in found)
    known, stops = has_score(study.settings[0], study.objective), stopped_early(study)
    columns = {
        Head("step", number=True): [f"{rung.step:,}" for rung in found],
        Head("settings compared", number=True): [f"{len(rung.settings):,}" for rung in found],
        Head("seeds"): [" to ".join(map(str, dict.fromkeys(rung.seeds))) for rung in found],
        Head("stopped there", number=True): [f"{rung.stopped:,}" for rung in found] if stops else [],
        Head(f"best {spoken(study.objective)} {'↑' if study.mode == 'max' else '↓'}"): [
            interval(rung.best, usual) for rung in found
        ],
        Head("place of the final best", number=True): [rung.place if rung.place and known else NONE for rung in found],
    }
    shown = {head: cells for head, cells in columns.items() if cells}
    lines = zip(*shown.values(), strict=True)
    rows = [Row([Cell(text, head.number) for head, text in zip(shown, line, strict=True)]) for line in lines]
    note = "A score before the last step is that of unfinished training, and the best of many is optimistic."
    return Table(f"The {study.comparison}s", list(shown), rows, note)


def _compute_note(study: Study, findings: Verdict) -> str:
    objective, share = spoken(study.objective), f"{compute_of(study):.0%} of the steps of all runs were made."
    if study.population or stopped_early(study):
        note = (
            f"The {objective} of the setting that one would have picked after each {study.comparison}: the best of "
            f"those scored at the latest step with the most seeds. {share}"
        )
    else:
        note = f"The {objective} of the best setting so far, with the settings in the order of their numbers. {share}"
    tested = f" This score selects, so its best is optimistic; {findings.tested} {UNSEEN}." if findings.tested else ""
    return note + tested


def _parallel_note(study: Study) -> str:
    ended = sum(last_score(study, s) is not None for s in study.settings)
    note = f"Each line is one of {count(ended, 'setting')}, its colour the place at the end."
    if stopped_early(study):
        note += " The score of a setting that was stopped is that at its last rung."
    if len(study.structure.varying) > MOST_AXES - 1:
        note += f" The first {MOST_AXES - 1} of {len(study.structure.varying)} columns that vary are shown."
    if ended > MOST_LINES:
        note += f" The best {MOST_LINES // 3} and {MOST_LINES - MOST_LINES // 3} of the others are shown."
    return note


def _importance_table(study: Study) -> Table:
    heading = "Importance of each setting"
    try:
        found = importance_of(study)
    except (ModuleNotFoundError, ValueError) as error:
        return Table(heading, [], [], f"{title(str(error))}.")
    longest = max(*found.drops.values(), 1e-9)
    rows = [
        Row([Cell(spoken(name)), Cell(f"{max(0.0, drop):.2f}", number=True), Cell("", bar=_share(drop, longest))])
        for name, drop in found.drops.items()
    ]
    heads = [Head("setting"), Head("fall of R² when permuted", number=True), Head("")]
    return Table(heading, heads, rows, _importance_note(found))


def _share(drop: float, longest: float) -> float:
    return round(100 * max(0.0, drop) / longest, 1) if math.isfinite(drop) else 0.0


def _importance_note(found: Importance) -> str:
    diverged = f", {found.diverged:,} of which diverged and count as the worst" if found.diverged else ""
    note = (
        f"From the places of {count(found.settings, 'setting')} at step {found.step:,}{diverged}. A random forest "
        f"explains {max(0.0, found.explained):.0%} of the variance of places that it has not seen (R²). This holds "
        "within the ranges searched."
    )
    return f"{note} That is too little for the order to mean much." if found.explained < FAINT else note
