"""The batches of a source: which rows a step of a run reads."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxopt_lite.training import _order
from jaxopt_lite.training._run import keys
from jaxopt_lite.training.streams._source import Source

Array = jax.Array
_MOST_SEEDS = 16


@dataclass(frozen=True)
class Batches:
    """The function `Stream.batches` of a source.

    Attributes:
        source: the examples.
        rows: `rows(seed, begin, end)`, the rows of the steps `begin <= i < end`, one after the other.
        size: examples in a batch.
        check: is called with the y of the examples that are read; it raises if the loss cannot have them.
    """

    source: Source
    rows: Callable[[int, int, int], np.ndarray]
    size: int
    check: Callable[[np.ndarray], object]

    def __call__(self, seed: int, begin: int, end: int) -> tuple[np.ndarray, ...]:
        found = self.source.read(self.rows(seed, begin, end))
        self.check(found[1])
        return tuple(a.reshape(end - begin, self.size, *a.shape[1:]) for a in found)


@dataclass(frozen=True)
class InOrder:
    """The rows as the source has them, for every seed."""

    size: int

    def __call__(self, seed: int, begin: int, end: int) -> np.ndarray:
        return np.arange(begin * self.size, end * self.size)


class Shuffled:
    """The rows that `_order.next_batch` gives inside the program of a task whose data are in memory.

    The order of the latest epoch is kept for up to 16 seeds: 4 bytes for each example and seed.
    """

    def __init__(self, examples: int, size: int) -> None:
        self._examples, self._size = examples, size
        self._latest: dict[int, tuple[int, np.ndarray]] = {}

    def __call__(self, seed: int, begin: int, end: int) -> np.ndarray:
        batches = self._examples // self._size
        parts = []
        while begin < end:
            epoch, first = divmod(begin, batches)
            last = min(batches, first + end - begin)
            parts.append(self._epoch(seed, epoch)[first * self._size : last * self._size])
            begin += last - first
        return np.concatenate(parts)

    def _epoch(self, seed: int, epoch: int) -> np.ndarray:
        known = self._latest.get(seed)
        if known is not None and known[0] == epoch:
            return known[1]
        first_step = epoch * (self._examples // self._size)
        rows = np.asarray(_epoch_rows(np.uint32(seed), np.uint32(first_step), examples=self._examples))
        if len(self._latest) >= _MOST_SEEDS:
            self._latest = {}
        self._latest[seed] = epoch, rows
        return rows

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_latest": {}}


@partial(jax.jit, static_argnames="examples")
def _epoch_rows(seed: Array, first_step: Array, examples: int) -> Array:
    """The order of an epoch: its key is the first half of that of the epoch's first step, as in `supervised`."""
    key, _ = jax.random.split(jax.random.fold_in(keys(seed)[1], first_step))
    return _order.permutation(key, examples)
