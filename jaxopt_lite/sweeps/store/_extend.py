"""A sweep that grows: more trials, seeds or steps in the same store."""

from typing import Any

import numpy as np

from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps.store._database import CONFIRM
from jaxopt_lite.sweeps.store._ledger import Growth, Ledger, StoreError
from jaxopt_lite.sweeps.strategies import Population


def growth(ledger: Ledger, planned: Plan, facts: dict[str, Any]) -> Growth:
    """What a larger plan of the same sweep has more than a ledger; what is finished keeps its numbers.

    With more steps, finished runs continue from their final state if it is stored (`keep`); the others begin again and
    repeat the same numbers. Runs that confirmed a trial become runs of the sweep if their seed is now among its seeds.

    Args:
        ledger: the ledger.
        planned: the plan.
        facts: `facts_of(planned)`.

    Raises:
        StoreError: a member of a population would have to begin again.
    """
    stored, rows = ledger.facts(), ledger.rows()
    batches = {row.trial: row for row in rows if row.batch != CONFIRM}
    there = {(row.trial, row.seed) for row in rows}
    new = []
    for trial in range(max(len(batches), len(planned.points) if planned.search is None else 0)):
        like = batches.get(trial) or planned.rows([planned.points[trial]], planned.seeds[:1], 0, trial, 0)[0]
        new += [
            like._replace(seed=seed, status="waiting", step=0) for seed in planned.seeds if (trial, seed) not in there
        ]
    found = Growth(
        added=[row._replace(id=len(rows) + i) for i, row in enumerate(new)],
        selected=[
            row._replace(batch=batches[row.trial].batch)
            for row in rows
            if row.batch == CONFIRM and row.seed in planned.seeds
        ],
        again=[],
        continued=[],
        curves={},
        facts={key: facts[key] for key in ("steps", "stride", "seeds", "settings", "structures")},
    )
    if planned.steps > stored["steps"]:
        with_state, times = set(ledger.stored()), facts["stride"] // stored["stride"]
        begun = [row.id for row in rows if row.status in ("done", "running")]
        again = [row for row in begun if row not in with_state]
        kept = {row.id for row in rows} - set(again) if times > 1 else ()
        found = found._replace(again=again, continued=[row for row in begun if row in with_state])
        for row, name, points in ledger.each_points() if kept else ():
            if row in kept:
                found.curves.setdefault(row, {})[name] = wider(points, times)
    if found.again and isinstance(planned.stop, Population):
        raise StoreError(
            f"the population in {ledger.store} cannot get {planned.steps} steps: its members continue from their final "
            "states, which keep='all' stores from the start"
        )
    return found


def wider(points: np.ndarray, times: int) -> np.ndarray:
    """The points of a curve whose stride is `times` as long; a point is a sum over its stride divided by the stride."""
    sums = np.pad(points, (0, -len(points) % times)).reshape(-1, times).sum(axis=1, dtype=points.dtype) / times
    return np.pad(sums, (0, len(points) - len(sums))).astype(points.dtype)
