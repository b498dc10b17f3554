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
        source: the row from whose state it continued; the run's row if it continued as it was.
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
    """One kind of data after another, so that a large ledger is never in memory as a whole."""
    facts, rows = ledger.facts(), in_order(ledger.rows())
    swept = tuple(facts.get("columns", ()))
    columns: dict[str, list[Any]] = {name: [row.columns[name] for row in rows] for name in swept}
    columns |= {name: [getattr(row, name) for row in rows] for name in ("seed", "status", "step")}
    fields = {
        "trials": [row.trial for row in rows],
        "confirming": [row.batch == CONFIRM for row in rows],
        "generations": _generations(ledger, rows),
        "batches": [row.batch for row in rows],
    }
    ids = [row.id for row in rows]
    del rows
    columns |= _scores(ledger, facts, ids, columns["status"])
    curves: list[dict[str, Any]] = [{} for _ in ids]
    at = {id: nth for nth, id in enumerate(ids)}
    for id, name, points in ledger.each_points():
        curves[at[id]][name] = means(points, facts["stride"], columns["step"][at[id]], facts["steps"])
    by_step, errors, records = ledger.scores_by_step(facts["objective"]), ledger.errors(), ledger.records()
    return {
        "columns": columns,
        "swept": swept,
        "objective": facts["objective"],
        "mode": facts["mode"],
        "facts": facts,
        "curves": curves,
        "store": ledger.store,
        **fields,
        "rungs": [by_step.pop(id, {}) for id in ids],
        "errors": {nth: errors[id] for nth, id in enumerate(ids) if columns["status"][nth] == "failed"},
        "records": [records.get(id, {}) for id in ids] if facts.get("diagnose") else None,
    }


def _scores(ledger: Ledger, facts: dict[str, Any], ids: Sequence[int], status: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of the scores, the objective first; NaN unless a run is done."""
    scores = ledger.scores(facts["steps"])
    names = dict.fromkeys(name for id in ids for name in scores.get(id, {}))
    return {
        name: [
            scores.get(id, {}).get(name, math.nan) if ended == "done" else math.nan
            for id, ended in zip(ids, status, strict=True)
        ]
        for name in sorted(names, key=lambda name: (name != facts["objective"], name))
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
