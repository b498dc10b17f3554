"""From runs to settings: the seeds of a trial put together."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxopt_lite.sweeps.results._setting import Mean, Setting, mean_of
from jaxopt_lite.sweeps.store._ledger import LOSSES

Columns = Mapping[str, Sequence[Any]]


def aggregated(
    columns: Columns,
    swept: Sequence[str],
    scores: Sequence[str],
    rungs: Sequence[Mapping[int, float]],
    rows: Sequence[int],
    confirming: Sequence[int],
) -> Setting:
    """The setting of one trial.

    Args:
        columns: the table, by name of a column.
        swept: the columns that are settings.
        scores: the columns that are scores.
        rungs: for each row of the table, the objective by step; empty where it is not known.
        rows: the rows of the trial's runs.
        confirming: the rows of its runs with seeds that took no part in the selection.
    """
    status = [columns["status"][row] for row in rows]
    return Setting(
        columns={name: columns[name][rows[0]] for name in swept},
        seeds=len(rows),
        done=status.count("done"),
        diverged=status.count("diverged"),
        scores={name: _mean(columns, name, rows) for name in scores},
        trials=tuple(rows),
        pruned=status.count("pruned"),
        failed=status.count("failed"),
        confirmed={name: _mean(columns, name, confirming) for name in scores} if confirming else {},
        confirming=len(confirming),
        step=max((columns["step"][row] for row in rows), default=0) if "step" in columns else 0,
        rungs=_at_rungs([rungs[row] for row in rows if rungs], [s in LOSSES for s in status]),
    )


def _mean(columns: Columns, name: str, rows: Sequence[int]) -> Mean:
    complete = all(columns["status"][row] == "done" for row in rows)
    return mean_of([columns[name][row] for row in rows] if complete else [])


def _at_rungs(runs: Sequence[Mapping[int, float]], diverged: Sequence[bool]) -> dict[int, Mean]:
    """The mean objective over the seeds that were scored at a step; nothing where one of them had diverged."""
    lost = [scores for scores, is_lost in zip(runs, diverged, strict=False) if is_lost]
    steps = sorted({step for scores in runs for step in scores})
    return {
        step: mean_of([scores[step] for scores in runs if step in scores])
        for step in steps
        if all(step in scores for scores in lost)
    }
