"""What is written to a ledger and read from it: what a segment did, how a sweep grows, how a population continued."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.diagnostics import Record
from jaxopt_lite.sweeps.store._database import Row


class Outcome(NamedTuple):
    """What one segment did to one trial.

    Attributes:
        id: the run's row.
        status: running, done, diverged or failed.
        step: the step at which the segment ended.
        scores: by name, if the run was scored at this step.
        points: the points of its learning curves so far.
        arrays: its state, if it is running or is kept.
        records: the state of its layers, by step.
        error: why it failed.
    """

    id: int
    status: str
    step: int
    scores: dict[str, float]
    points: dict[str, np.ndarray]
    arrays: Sequence[np.ndarray] | None
    records: Mapping[int, Record] = {}
    error: str | None = None


class Growth(NamedTuple):
    """How a sweep grows.

    Attributes:
        added: new runs.
        selected: runs that confirmed a trial and now belong to the batch of their trial.
        again: rows of finished runs that begin again.
        continued: rows of runs that continue from their state.
        curves: the points of curves with a larger stride, by row.
        facts: what has changed of the sweep.
    """

    added: list[Row]
    selected: list[Row]
    again: list[int]
    continued: list[int]
    curves: dict[int, dict[str, np.ndarray]]
    facts: dict[str, Any]


class Adopted(NamedTuple):
    """How a run continued after a generation of a population.

    Attributes:
        id: the run's row.
        step: the step of the generation.
        source: the row of the run from whose state it continued; the run's row if it continued as it was.
        columns: its settings until then, by name.
        picks: the point of the space until then.
    """

    id: int
    step: int
    source: int
    columns: dict[str, Any]
    picks: str
