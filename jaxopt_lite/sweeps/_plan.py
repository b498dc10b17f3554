"""What a sweep will do: its trials, packed into programs and chunks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lite.sweeps import _width
from jaxopt_lite.sweeps._group import Group, grouped
from jaxopt_lite.sweeps._ledger import Row
from jaxopt_lite.sweeps._program import Chunk, width_of
from jaxopt_lite.sweeps._schedule import Job, Runner
from jaxopt_lite.sweeps._trials import Search, Trial, enumerate_trials
from jaxopt_lite.training import Task


class Plan(NamedTuple):
    """What a sweep will do: its trials, and how they are packed into programs and chunks. Print it."""

    task: Task
    trials: list[Trial]
    seeds: tuple[int, ...]
    steps: int
    groups: list[Group]
    widths: list[int]
    devices: list[Any]
    workers: int

    @property
    def runs(self) -> int:
        """Trials times seeds."""
        return len(self.trials) * len(self.seeds)

    @property
    def structures(self) -> int:
        """Different structures among the trials, that is programs without merging."""
        return sum(group.structures for group in self.groups)

    @property
    def chunks(self) -> list[int]:
        """Chunks of each group."""
        return [len(_chunks(rows, width)) for rows, width in zip(self.runners(), self.widths, strict=True)]

    def __str__(self) -> str:
        device = self.devices[0]
        lines = [
            f"task      {self.task.name}, {self.steps} steps a run, ranked by {self.task.objective} ({self.task.mode})",
            f"trials    {len(self.trials)} settings × {len(self.seeds)} seeds = {self.runs} runs",
            f"programs  {len(self.groups)} training programs for {self.structures} structures; those of equal "
            "initialisation share its program",
            f"chunks    {sum(self.chunks)} of {'/'.join(map(str, dict.fromkeys(self.widths)))} runs, "
            f"{self.workers} at a time on {device.device_kind if device.platform != 'cpu' else 'CPU cores'}",
        ]
        return "\n".join(lines)

    def jobs(self, begun: dict[int, tuple[int, list[np.ndarray], dict[str, np.ndarray]]], over: set[int]) -> list[Job]:
        """The chunks to run: those that are under way first, then what is untouched; `over` are rows that are done."""
        jobs = []
        for nth, (rows, width) in enumerate(zip(self.runners(), self.widths, strict=True)):
            left = [row for row in rows if row.row not in over]
            for chunk in _chunks([row for row in left if row.row in begun], width, lambda row: begun[row.row][0]):
                states = [begun[row.row] for row in chunk]
                carry = [np.stack(arrays) for arrays in zip(*(arrays for _, arrays, _ in states), strict=True)]
                sums = {name: np.stack([s[name] for _, _, s in states]) for name in states[0][2]}
                jobs.append(Job(nth, tuple(chunk), states[0][0], Chunk(carry, sums)))
            jobs += [Job(nth, tuple(c), 0, None) for c in _chunks([row for row in left if row.row not in begun], width)]
        return sorted(jobs, key=lambda job: job.state is None)

    def rows(self) -> list[Row]:
        """The rows of a new ledger."""
        own = [(trial.columns, seed) for trial in self.trials for seed in self.seeds]
        return [Row(i, columns, seed, "waiting", 0) for i, (columns, seed) in enumerate(own)]

    def runners(self) -> list[list[Runner]]:
        """The runs of each group; those of one seed side by side, since they share the order of their data."""
        each = len(self.seeds)
        return [
            [Runner(m.trial * each + i, seed, m) for i, seed in enumerate(self.seeds) for m in group.members]
            for group in self.groups
        ]


def plan(
    task: Task,
    space: Any,
    *,
    steps: int,
    trials: int | None = None,
    seeds: int | Sequence[int] = 1,
    search: Search | None = None,
    seed: int = 0,
) -> Plan:
    """What `run` would do with these arguments; nothing is written.

    On a CPU nothing is compiled either; on an accelerator the width of a chunk comes from two small programs' own
    account of their memory.

    Raises:
        ValueError, TypeError: as `run`.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
    if task.mode not in ("min", "max"):
        raise ValueError(f'the mode of task {task.name!r} must be "min" or "max", got {task.mode!r}')
    found = enumerate_trials(space, trials, search, seed)
    devices = jax.local_devices() if jax.default_backend() != "cpu" else jax.local_devices()[:1]
    groups = grouped([trial.value for trial in found], merge=devices[0].platform == "cpu")
    each = _seeds(seeds)
    widths = [width_of(task, group, devices[0], len(each)) for group in groups]
    busy = _width.workers(devices[0].platform)
    return Plan(task, found, each, int(steps), groups, widths, devices, busy)


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    given = range(seeds) if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool) else seeds
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ValueError(f"seeds must be a number of seeds or a list of them, got {seeds!r}")
    given = list(given)
    if any(isinstance(s, bool) or not isinstance(s, int | np.integer) for s in given):
        raise ValueError(f"seeds must be whole numbers, got {seeds!r}")
    out = tuple(int(s) for s in given)
    if not out or len(set(out)) < len(out) or min(out) < 0 or max(out) >= 1 << 32:
        raise ValueError(f"seeds must be at least 1, or a list of different numbers from 0 to 2³² − 1; got {seeds!r}")
    return out


def _chunks(rows: Sequence[Runner], width: int, step: Callable[[Runner], int] = lambda _: 0) -> list[list[Runner]]:
    """Runs of the same alternatives and step, in chunks of at most `width`."""
    kinds: dict[tuple[Any, int], list[Runner]] = {}
    for row in rows:
        kinds.setdefault((row.member.taken, step(row)), []).append(row)
    return [own[i : i + width] for own in kinds.values() for i in range(0, len(own), width)]
