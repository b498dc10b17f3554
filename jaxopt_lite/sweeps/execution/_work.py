"""What a worker does: bring the runs of a chunk to a step, and score them there if asked."""

import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lite.diagnostics._conclude import Labels
from jaxopt_lite.sweeps.execution._records import Records, recorded, recorded_closely
from jaxopt_lite.sweeps.programs._program import Chunk, Programs
from jaxopt_lite.training import StreamError


class Span(NamedTuple):
    """The steps `begin <= i < end` of runs of `steps` steps; a point of their curves has `stride` steps."""

    begin: int
    end: int
    steps: int
    stride: int


class Work(NamedTuple):
    """A segment of a chunk, as plain arrays that can be sent to another process.

    Attributes:
        group: number of the group, which names the programs.
        branches: which alternative the runs take in each place of a merged optimizer.
        numbers: the numbers of the runs, in columns with a row for each slot of the chunk.
        seeds: the seed of each slot.
        state: the state before, one row for each slot; None to start the runs.
        copied: whether the state is that of other runs, with other settings inside.
        span: its steps.
        score: whether the runs are scored after the segment.
        keep: whether the state after the segment is part of the answer.
        runs: the number of slots that hold a run; the others repeat the last one.
    """

    group: int
    branches: tuple[int, ...]
    numbers: list[np.ndarray]
    seeds: np.ndarray
    state: Chunk | None
    copied: bool
    span: Span
    score: bool
    keep: bool
    runs: int


class Answer(NamedTuple):
    """What a segment gave, as plain arrays with a row for each slot.

    Attributes:
        points: the points of the curves.
        scores: the scores by name; empty if none were asked for, or every run has diverged.
        carry: the arrays of the state; empty if it was not asked for, or every run has diverged.
        seconds_a_step: time of one step of the chunk.
        score_seconds: time of the evaluation; 0 if there was none.
        records: for each run the numbers of `diagnostics.Record`, by step; empty if the task is not diagnosed.
        labels: what these numbers belong to.
    """

    points: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    carry: list[np.ndarray]
    seconds_a_step: float
    score_seconds: float
    records: Records
    labels: Labels | None


class Failed(NamedTuple):
    """Instead of an answer: the task raised, or the workers that tried the work were lost.

    Attributes:
        text: the error in one line.
        error: the error itself, if it was raised in this process.
    """

    text: str
    error: Exception | None = None


def attempted(programs: Programs, data: Any, work: Work) -> Answer | Failed:
    """What `perform` returns, or the error that the task raises.

    Raises:
        StreamError: the data of the task cannot be read, which is not a failure of these runs.
    """
    try:
        return perform(programs, data, work)
    except StreamError:
        raise
    except Exception as error:
        return Failed(one_line(error), error)


def one_line(error: BaseException) -> str:
    """Type and message of an error in one line; of an error in a Python callback, that of the callback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any("Traceback (most recent call last)" in line for line in lines):
        return _short(lines[-1])
    return _short(": ".join([type(error).__name__, *lines[:1]]))


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def perform(programs: Programs, data: Any, work: Work) -> Answer:
    """Do a work with the programs of its group and the data of the task, both on one device."""
    inputs = (work.branches, work.numbers, work.seeds)
    begin = time.perf_counter()

    def started() -> Chunk:
        chunk = programs.started(*inputs) if work.state is None else work.state
        return programs.with_settings(*inputs, chunk) if work.copied else chunk

    def advance(chunk: Chunk, first: int, last: int) -> Chunk:
        return programs.advanced(*inputs, chunk, data, (first, last), work.span.stride)

    def record(chunk: Chunk) -> Any:
        return programs.recorded(work.branches, work.numbers, chunk, data)

    records: Records = [{} for _ in range(work.runs)]
    if programs.labels is None:
        chunk = advance(started(), work.span.begin, work.span.end)
    else:
        chunk, records = recorded(advance, record, started(), work.span[:2], work.score, work.runs)
    jax.block_until_ready(chunk)  # without metrics there are no points to wait for
    points = jax.device_get(chunk.points)
    seconds_a_step = (time.perf_counter() - begin) / (work.span.end - work.span.begin)
    scores: dict[str, np.ndarray] = {}
    score_seconds = 0.0
    alive = any(finite_loss(points, i) for i in range(work.runs))
    if work.score and alive:
        begin = time.perf_counter()
        chunk, found = programs.scored(*inputs, chunk, data, work.span.end == work.span.steps)
        scores = jax.device_get(found)
        score_seconds = time.perf_counter() - begin
    carry = [np.asarray(x) for x in jax.device_get(chunk.carry)] if work.keep and alive else []
    if programs.labels is not None and "loss" in points:
        losses = points["loss"][: work.runs]
        records = recorded_closely(advance, record, started, work.span[:2], work.span.stride, losses, records)
    return Answer(points, scores, carry, seconds_a_step, score_seconds, records, programs.labels)


def finite_loss(points: dict[str, np.ndarray], i: int) -> bool:
    """Whether the losses of the run in slot `i` were finite so far."""
    return "loss" not in points or bool(np.isfinite(points["loss"][i]).all())
