"""What a sweep will do: its trials, packed into programs and chunks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite._names import count
from jaxopt_lite.sweeps import _width
from jaxopt_lite.sweeps._group import Group, grouped
from jaxopt_lite.sweeps._layout import Layout
from jaxopt_lite.sweeps._ledger import Row
from jaxopt_lite.sweeps._program import Chunk, width_of
from jaxopt_lite.sweeps._schedule import Job, Runner
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps._trials import Search, Trial, enumerate_trials
from jaxopt_lite.training import Task, _checked


class State(NamedTuple):
    """The state of one trial between two segments: its step, its arrays, and the points of its curves."""

    step: int
    arrays: list[np.ndarray]
    points: dict[str, np.ndarray]


class Plan(NamedTuple):
    """What a sweep will do: its trials, and how they are packed into programs and chunks. Print it.

    Attributes:
        task: the training problem.
        trials: the settings, in the order of the table.
        seeds: the seeds; each trial runs with each.
        steps: updates in a run.
        groups: the trials by structure; each group has a training program of its own.
        widths: for each group, the number of runs in a chunk.
        layout: devices, merging and how chunks start.
        workers: number of chunks that run at the same time.
    """

    task: Task
    trials: list[Trial]
    seeds: tuple[int, ...]
    steps: int
    groups: list[Group]
    widths: list[int]
    layout: Layout
    workers: int

    @property
    def devices(self) -> tuple[Any, ...]:
        """The devices that run chunks."""
        return self.layout.devices or ()

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
            f"trials    {count(len(self.trials), 'setting')} × {count(len(self.seeds), 'seed')} = "
            f"{count(self.runs, 'run')}",
            f"programs  {count(len(self.groups), 'training program')} for {count(self.structures, 'structure')}; "
            "one starting program per initialisation",
            f"chunks    {sum(self.chunks)} of {'/'.join(map(str, dict.fromkeys(self.widths)))} runs, "
            f"{self.workers} at a time on {device.device_kind if device.platform != 'cpu' else 'CPU cores'}",
        ]
        return "\n".join(lines)

    def jobs(self, states: dict[int, State], finished: set[int]) -> list[Job]:
        """The chunks to run: first those of trials with a state, then those of trials at step 0.

        Args:
            states: the states of trials that have begun, by row.
            finished: rows that are done or diverged.
        """
        jobs = []
        for nth, (rows, width) in enumerate(zip(self.runners(), self.widths, strict=True)):
            remaining = [row for row in rows if row.row not in finished]
            begun = [row for row in remaining if row.row in states]
            for chunk in _chunks(begun, width, lambda row: states[row.row].step):
                found = [states[row.row] for row in chunk]
                carry = [np.stack(arrays) for arrays in zip(*(state.arrays for state in found), strict=True)]
                points = {name: np.stack([state.points[name] for state in found]) for name in found[0].points}
                jobs.append(Job(nth, tuple(chunk), found[0].step, Chunk(carry, points)))
            new = [row for row in remaining if row.row not in states]
            jobs += [Job(nth, tuple(chunk), 0, None) for chunk in _chunks(new, width)]
        return sorted(jobs, key=lambda job: job.state is None)

    def rows(self) -> list[Row]:
        """The rows of a new ledger."""
        runs = [(trial.columns, seed) for trial in self.trials for seed in self.seeds]
        return [Row(i, columns, seed, "waiting", 0) for i, (columns, seed) in enumerate(runs)]

    def runners(self) -> list[list[Runner]]:
        """The runs of each group; those of one seed side by side, since they share the order of their data."""
        seeds = len(self.seeds)
        return [
            [Runner(m.trial * seeds + i, seed, m) for i, seed in enumerate(self.seeds) for m in group.members]
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
    layout: Layout | None = None,
) -> Plan:
    """What `run` would do with these arguments. Nothing is written, and on CPU nothing is compiled.

    On an accelerator the width of a chunk is computed from the memory of two small programs, which are compiled.

    Args:
        task: the training problem.
        space: a pytree with distributions at its leaves and `choice` in its structure; see `run`.
        steps: updates in a run, at least 1.
        trials: number of points of the space, at least 1. Default: all points of its grid, which then must be finite.
        seeds: number of seeds, or a list of different seeds from 0 to 2³² − 1. Default: 1.
        search: `"grid"`, `"random"` or `"quasi-random"`; see `run`.
        seed: decides which points of the space are drawn. Default: 0.
        layout: devices, width of a chunk, merging and form of the start; see `Layout`. Default: as the backend needs.

    Returns:
        The plan; print it, give it to `estimate` or to `execute`.

    Raises:
        ValueError: an argument is out of range, or the task needs a drawn number while its model is built.
        TypeError: a leaf of the space is neither a number nor hashable.

    Example:
        >>> from jaxopt_lite import optimizers as opt, sweeps, training
        >>> from jaxopt_lite.activations import relu, tanh
        >>> space = {"activation": sweeps.choice([relu, tanh]), "optimizer": opt.adam(sweeps.log_uniform(1e-4, 1e-1))}
        >>> print(sweeps.plan(training.builtin("digits"), space, trials=100, seeds=3, steps=500))
        task      digits, 500 steps a run, ranked by test_accuracy (max)
        trials    100 settings × 3 seeds = 300 runs
        programs  2 training programs for 2 structures; one starting program per initialisation
        chunks    ... of 8 runs, ... at a time on CPU cores
    """
    _checked.check(task)
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
    if task.mode not in ("min", "max"):
        raise TaskError(f'the mode of task {task.name!r} must be "min" or "max", got {task.mode!r}')
    if any(mode not in ("min", "max") for mode in task.modes.values()):
        raise TaskError(f'the modes of task {task.name!r} must be "min" or "max", got {dict(task.modes)!r}')
    chosen = (layout or Layout()).resolved(task.merge)
    listed = _seeds(seeds)
    drawn = enumerate_trials(space, trials, search, seed)
    groups = grouped([trial.value for trial in drawn], merge=bool(chosen.merge))
    widths = [width_of(task, group, chosen, len(listed)) for group in groups]
    return Plan(task, drawn, listed, int(steps), groups, widths, chosen, _width.workers(chosen.devices or ()))


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
    alike: dict[tuple[Any, int], list[Runner]] = {}
    for row in rows:
        alike.setdefault((row.member.branches, step(row)), []).append(row)
    return [runs[i : i + width] for runs in alike.values() for i in range(0, len(runs), width)]
