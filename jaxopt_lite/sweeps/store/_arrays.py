"""Arrays in a ledger: the curves, records and states of runs."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from jaxopt_lite.diagnostics._conclude import Label, Labels
from jaxopt_lite.sweeps.store._outcome import Outcome

# Largest part of a state in bytes; SQLite refuses values of 1 GB.
BYTES_A_PART = 64 << 20


@lru_cache
def labels_of(text: str) -> Labels:
    """The labels that `json.dumps` made the text of."""
    layers, *rest = json.loads(text)
    return Labels(tuple(Label(*names)._replace(shape=tuple(names[-1])) for names in layers), *rest)


def write_curves(db: sqlite3.Connection, curves: Iterable[tuple[int, dict[str, np.ndarray]]]) -> None:
    """Write the points of the learning curves of runs, by row."""
    points = [(row, name, np.asarray(p)) for row, named in curves for name, p in named.items()]
    db.executemany(
        "INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?)", [(r, n, p.dtype.str, p.tobytes()) for r, n, p in points]
    )


def write_records(db: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
    """Write the states of layers that segments recorded."""
    records = [(o.id, step, record) for o in outcomes for step, record in o.records.items()]
    db.executemany(
        "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)",
        [(row, step, json.dumps(record.labels), record.numbers.tobytes()) for row, step, record in records],
    )


def parts_of(trial: int, step: int, arrays: Sequence[np.ndarray]) -> Iterator[tuple[int, int, int, memoryview, str]]:
    """The rows of `carries` for a state: its bytes in parts of at most `BYTES_A_PART`, at least one."""
    number = 0
    for array in arrays if len(arrays) else [np.zeros(0)]:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for begin in range(0, max(1, data.size), BYTES_A_PART):
            part = data[begin : begin + BYTES_A_PART].data
            yield trial, number, step, part, hashlib.sha256(part).hexdigest()
            number += 1
