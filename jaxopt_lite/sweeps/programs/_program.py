"""The programs of a group: one that starts C trials, one that advances and scores them."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lite.diagnostics._conclude import Labels
from jaxopt_lite.sweeps.programs._executables import Lowered
from jaxopt_lite.sweeps.programs._recording import Recording
from jaxopt_lite.training.streams._stream import Feed

Array = jax.Array
_STARTING = threading.Lock()


class Chunk(NamedTuple):
    """The state of C trials side by side, all at the same step, as plain arrays."""

    carry: list[Any]
    points: dict[str, Any]


class Programs(NamedTuple):
    """The executables of a group on one device.

    Attributes:
        start: starts the trials.
        segment: advances and scores them.
        width: the width C they are compiled for.
        settings: for each array of the carry, whether it is a setting of an optimizer.
        record: records the state of their layers; None if the task is not diagnosed.
        labels: the names of the layers.
        cpu: whether they run on a CPU.
        feed: the windows of the task's stream; None if its data are in memory.
    """

    start: Any
    segment: Any
    width: int
    settings: list[bool]
    record: Any = None
    labels: Labels | None = None
    cpu: bool = True
    feed: Feed | None = None

    def started(self, branches: Sequence[int], numbers: list[Any], seeds: Any) -> Chunk:
        """C trials before their first step.

        On a CPU one chunk at a time: two programs with batched QR decompositions, as of orthogonal kernels, wait for
        each other for ever there (jaxlib 0.10.2).
        """
        inputs = _indices(branches), numbers, seeds
        if not self.cpu:
            return Chunk(*self.start(*inputs))
        with _STARTING:
            return Chunk(*jax.block_until_ready(self.start(*inputs)))

    def with_settings(self, branches: Sequence[int], numbers: list[Any], seeds: Any, chunk: Chunk) -> Chunk:
        """Copies of trials, with the settings of these trials in the states of their optimizers."""
        fresh = self.started(branches, numbers, seeds)
        parts = zip(self.settings, fresh.carry, chunk.carry, strict=True)
        return Chunk([new if setting else old for setting, new, old in parts], chunk.points)

    def advanced(
        self,
        branches: Sequence[int],
        numbers: list[Any],
        seeds: Any,
        chunk: Chunk,
        data: Any,
        span: tuple[int, int],
        stride: int,
    ) -> Chunk:
        """The trials after the steps `span[0] <= i < span[1]`; a point has `stride` steps. Donates the chunk."""
        stretches: Iterable[tuple[Any, ...]] = [span]
        if self.feed is not None:
            stretches = self.feed.windows(seeds, *span)
        leaves = jax.tree.leaves(data)
        for begin, end, *window in stretches:
            bounds = np.array([begin, end, stride, 0], np.int32)
            inputs = (_indices(branches), numbers, seeds, *jax.block_until_ready(chunk), leaves, bounds)
            carry, points, _ = self.segment(*inputs, *window)
            chunk = Chunk(carry, points)
        return chunk

    def scored(
        self, branches: Sequence[int], numbers: list[Any], seeds: Any, chunk: Chunk, data: Any, final: bool
    ) -> tuple[Chunk, dict[str, Array]]:
        """The trials as they are, and their scores; those of `Task.test` only if `final`. Donates the chunk."""
        bounds = np.array([0, 0, 1, 1 + final], np.int32)
        inputs = (_indices(branches), numbers, seeds, chunk.carry, chunk.points, jax.tree.leaves(data), bounds)
        window = () if self.feed is None else (self.feed.blank,)
        carry, points, (scores, tested) = self.segment(*inputs, *window)
        return Chunk(carry, points), scores | tested if final else scores

    def recorded(self, branches: Sequence[int], numbers: list[Any], chunk: Chunk, data: Any) -> Array:
        """The numbers of `diagnostics.Record` of each trial."""
        return self.record(_indices(branches), numbers, chunk.carry, jax.tree.leaves(data))


class Traced(NamedTuple):
    """The programs of a group, lowered for `width` trials.

    Attributes:
        start: starts the trials.
        segment: advances them and, if asked, scores them.
        width: number of trials.
        carry: shapes of the arrays of the state of all trials.
        scores: names of the scores.
        used: for each number of a trial, whether a program uses it.
        settings: for each array of the carry, whether it is a setting of an optimizer.
        start_only: for each number of a trial, whether only the program that starts the trials uses it.
        recording: records the state of their layers; None if the task is not diagnosed.
        feed: the windows of the task's stream; None if its data are in memory.
    """

    start: Lowered
    segment: Lowered
    width: int
    carry: list[Any]
    scores: tuple[str, ...]
    used: list[bool]
    settings: list[bool]
    start_only: list[bool]
    recording: Recording | None = None
    feed: Feed | None = None

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of all programs."""
        recorded = (self.recording.program.digest,) if self.recording else ()
        return self.start.digest, self.segment.digest, *recorded

    def on(self, device: Any) -> "Traced":
        """The same for another device."""
        recorded = self.recording and self.recording._replace(program=self.recording.program.on(device))
        feed = self.feed and self.feed.on(device)
        return self._replace(
            start=self.start.on(device), segment=self.segment.on(device), recording=recorded, feed=feed
        )

    def compiled(self) -> tuple[Programs, int]:
        """The executables, and how many of them had to be compiled."""
        (start, new), (segment, newer) = self.start.compiled(), self.segment.compiled()
        record, newest = self.recording.program.compiled() if self.recording else (None, 0)
        labels = self.recording.labels if self.recording else None
        cpu = self.start.device.platform == "cpu"
        programs = Programs(start, segment, self.width, self.settings, record, labels, cpu, self.feed)
        return programs, new + newer + newest


def _indices(branches: Sequence[int]) -> list[np.ndarray]:
    return [np.asarray(i, np.int32) for i in branches]
