"""What is recorded of the layers of a chunk: their state at a few steps, and closely where a loss is no longer finite.

A run that is trained in several stretches is bitwise the run in one, so recording changes no number of it. What is
recorded of a run depends on that run alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxopt_lite.training._record import recorded_steps

Advance = Callable[[Any, int, int], Any]  # (chunk, begin, end) -> chunk; the chunk given is no longer valid
Record = Callable[[Any], Any]  # chunk -> the numbers of its layers, one row for each run
Records = list[dict[int, np.ndarray]]  # for each run, the numbers by step
_CLOSE = 8  # records from the last finite point of a curve to the first that is not


def recorded(
    advance: Advance, record: Record, chunk: Any, span: tuple[int, int], scored: bool, runs: int
) -> tuple[Any, Records]:
    """The chunk after a segment, and the state of its layers at the steps that are recorded.

    Args:
        advance: trains the chunk.
        record: observes it.
        chunk: the runs before the segment.
        span: first and last step.
        scored: whether the runs are scored after the segment; there they are recorded too.
        runs: number of runs.
    """
    begin, end = span
    wanted = {*recorded_steps(begin + (begin > 0), end), *([end] if scored else [])}
    numbers = {}
    for stop in sorted(wanted | {end}):
        chunk = advance(chunk, begin, stop) if stop > begin else chunk
        if stop in wanted:
            numbers[stop] = record(chunk)
        begin = stop
    found = jax.device_get(numbers)
    return chunk, [{step: rows[run] for step, rows in found.items()} for run in range(runs)]


def recorded_closely(
    advance: Advance,
    record: Record,
    again: Callable[[], Any],
    span: tuple[int, int],
    stride: int,
    losses: np.ndarray,
    records: Records,
) -> Records:
    """The records with those of runs that diverge made close: the segment is made again until the loss is not finite.

    What was recorded of such a run later depends on where its segment ended, and is dropped.

    Args:
        advance: trains the chunk.
        record: observes it.
        again: returns the runs before the segment.
        span: first and last step.
        stride: steps in a point of the loss.
        losses: the points of the loss after the segment, one row for each run.
        records: what `recorded` has found.
    """
    (begin, end), finite = span, np.isfinite(losses)
    firsts = {run: int(np.argmin(row)) for run, row in enumerate(finite) if not row.all()}
    out = list(records)
    if not firsts:
        return out
    at, chunk = begin, again()
    for first in sorted(set(firsts.values())):
        runs = [run for run in firsts if firsts[run] == first]
        low, high = max(begin, first * stride), min((first + 1) * stride, end)
        out = [{s: x for s, x in one.items() if s < low} if run in runs else one for run, one in enumerate(out)]
        for step in np.unique(np.linspace(low, high, _CLOSE + 1).astype(int)).tolist():
            chunk = advance(chunk, at, step) if step > at else chunk
            numbers, at = jax.device_get(record(chunk)), step
            for run in runs:
                out[run][step] = numbers[run]
    return out
