"""A ledger's rows as the columns of a table."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from jaxopt_lite.sweeps.store._database import CONFIRM, Row
from jaxopt_lite.sweeps.store._ledger import Ledger
from jaxopt_lite.training._run import means


class Generation(NamedTuple):
    """How a run continued after a generation of a population.

    Attributes:
        step: the step of the generation.
        source: the row from whose state it continued; its own if it continued as it was.
        columns: its settings from then on, by name.
    """

    step: int
    source: int
    columns: dict[str, Any]


def fields_of(ledger: Ledger) -> dict[str, Any]:
    """The fields of `Results` that a ledger holds now, read as of one moment."""
    with ledger.snapshot():
        return _fields(ledger)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Runs in the order of the table: by trial, as they were added; those that confirm a trial come last."""
    return sorted(rows, key=lambda row: (row.batch == CONFIRM, row.trial, row.id))


def _fields(ledger: Ledger) -> dict[str, Any]:
    facts = ledger.facts()
    rows, scores, points = in_order(ledger.rows()), ledger.scores(facts["steps"]), ledger.points()
    records, errors = ledger.records(), ledger.errors()
    by_step = ledger.scores_by_step(facts["objective"])
    swept = tuple(facts.get("columns", ()))
    names = list(dict.fromkeys(name for row in rows for name in scores.get(row.id, {})))
    columns: dict[str, list[Any]] = {name: [row.columns[name] for row in rows] for name in swept}
    columns |= {"seed": [row.seed for row in rows], "status": [row.status for row in rows]}
    columns["step"] = [row.step for row in rows]
    for name in sorted(names, key=lambda name: (name != facts["objective"], name)):
        columns[name] = [
            scores.get(row.id, {}).get(name, math.nan) if row.status == "done" else math.nan for row in rows
        ]
    curves = [
        {name: means(p, facts["stride"], row.step, facts["steps"]) for name, p in points.get(row.id, {}).items()}
        for row in rows
    ]
    return {
        "columns": columns,
        "swept": swept,
        "objective": facts["objective"],
        "mode": facts["mode"],
        "facts": facts,
        "curves": curves,
        "store": ledger.store,
        "trials": [row.trial for row in rows],
        "confirming": [row.batch == CONFIRM for row in rows],
        "rungs": [by_step.get(row.id, {}) for row in rows],
        "generations": _generations(ledger, rows),
        "batches": [row.batch for row in rows],
        "errors": {nth: errors[row.id] for nth, row in enumerate(rows) if row.status == "failed"},
        "records": [records.get(row.id, {}) for row in rows] if facts.get("diagnose") else None,
    }


def _generations(ledger: Ledger, rows: Sequence[Row]) -> list[list[Generation]] | None:
    adopted = ledger.adopted()
    if not adopted:
        return None
    place = {row.id: nth for nth, row in enumerate(rows)}
    found: list[list[Generation]] = [[] for _ in rows]
    for id, passed in groupby(adopted, lambda one: one.id):
        steps = list(passed)
        later = [*(one.columns for one in steps[1:]), rows[place[id]].columns]
        found[place[id]] = [
            Generation(one.step, place[one.source], columns) for one, columns in zip(steps, later, strict=True)
        ]
    return found
