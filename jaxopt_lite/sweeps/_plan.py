"""What a sweep will do: its trials, packed into programs and chunks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from jaxopt_lite._names import count
from jaxopt_lite.sweeps import _arguments
from jaxopt_lite.sweeps._arguments import On
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.programs import _width
from jaxopt_lite.sweeps.programs._group import Group, Groups, Member
from jaxopt_lite.sweeps.programs._layout import Layout
from jaxopt_lite.sweeps.programs._width import Widths
from jaxopt_lite.sweeps.spaces._trials import (
    MOST_STRUCTURES,
    Picks,
    Search,
    Trial,
    Trials,
    check_trials,
    points,
    structures,
)
from jaxopt_lite.sweeps.store._database import Row, encoded
from jaxopt_lite.sweeps.strategies import History, Optuna, Order, Population, Stop, optuna
from jaxopt_lite.sweeps.strategies._simulate import simulated_steps
from jaxopt_lite.training import Task, _checked
from jaxopt_lite.training._run import stride_of


class Plan(NamedTuple):
    """What a sweep will do: its trials, and how they are packed into programs and chunks. Print it.

    Attributes:
        task: the training problem.
        space: the space of settings.
        make: makes a trial from a point of the space.
        points: the points of the first batch of trials.
        alike: number of trials of the first batch by group and choice of merged alternatives.
        seeds: the seeds; each trial runs with each, unless it is stopped.
        steps: updates in a complete run.
        search: what proposes further batches; None if all trials are in the first.
        most: largest number of trials.
        stop: what stops trials before their last step.
        confirm: how many of the best settings run with how many further seeds, or None.
        keep: of how many of the best settings the final states are kept, or `"all"`.
        seed: decides which points are drawn.
        grouping: the trials' structures; each group has a training program of its own.
        widths: by number of a group, the number of runs in a chunk.
        layout: devices, merging and how chunks start.
        workers: number of chunks that run at the same time.
        on: what trains, or None for this process.
        unit: the steps in a point of the curves are a multiple of it: those of the sweep that goes on. Default: 1.
    """

    task: Task
    space: Any
    make: Trials
    points: list[Picks]
    alike: Counter[tuple[int, tuple[int, ...]]]
    seeds: tuple[int, ...]
    steps: int
    search: Optuna | None
    most: int
    stop: Stop
    confirm: tuple[int, int] | None
    keep: int | Literal["all"]
    seed: int
    grouping: Groups
    widths: Widths
    layout: Layout
    workers: int
    on: On | None
    unit: int = 1

    @property
    def stride(self) -> int:
        """Steps in a point of the curves."""
        return stride_of(self.steps, self.unit)

    @property
    def groups(self) -> list[Group]:
        """The groups of trials of one structure."""
        return self.grouping.groups

    @property
    def devices(self) -> tuple[Any, ...]:
        """The devices that run chunks."""
        return self.layout.devices or ()

    @property
    def runs(self) -> int:
        """Trials times seeds, and the runs that confirm the best."""
        most, further = self.confirm or (0, 0)
        return self.most * len(self.seeds) + min(most, self.most) * further

    @property
    def used(self) -> list[int]:
        """The numbers of the groups of the first batch of trials; each is a training program."""
        return list(dict.fromkeys(nth for nth, _ in self.alike))

    @property
    def structures(self) -> int:
        """Different structures among the first batch of trials, that is programs without merging."""
        return len(self.alike)

    @property
    def forms(self) -> list[str]:
        """In words, how the programs run chunks: under `vmap` or one run at a time, and how they convolve."""
        return list(dict.fromkeys(self.widths.form(nth) for nth in self.used))

    @property
    def share(self) -> float:
        """Expected share of the steps of all runs that will be made; 1 if nothing is stopped."""
        if not self.stop.stops:
            return 1.0
        full = self.runs * self.steps
        batch = len(self.points)
        whole, rest = divmod(self.most, batch)
        made = sum(
            simulated_steps(self.stop, self.steps, self.seeds, size) * times
            for size, times in ((batch, whole), (rest, 1))
            if size
        )
        most, further = self.confirm or (0, 0)
        return (made + min(most, self.most) * further * self.steps) / full

    @property
    def chunks(self) -> list[int]:
        """Chunks of the first batch of trials, for each group in `used`."""
        out = dict.fromkeys(self.used, 0)
        for (nth, _), settings in self.alike.items():
            out[nth] += -(-settings * len(self.seeds) // self.widths[nth])
        return list(out.values())

    def __str__(self) -> str:
        widths = dict.fromkeys(self.widths[nth] for nth in self.used)
        lines = [
            f"task      {self.task.name}, {self.steps} steps a run, ranked by {self.task.objective} ({self.task.mode})",
            f"trials    {count(self.most, 'setting')} × {count(len(self.seeds), 'seed')} = "
            f"{count(self.most * len(self.seeds), 'run')}",
            f"programs  {count(len(self.used), 'training program')} for {count(self.structures, 'structure')}; "
            "one starting program per initialisation",
            f"chunks    {sum(self.chunks)} of {'/'.join(map(str, widths))} runs, "
            f"{self.workers} at a time on {self._place}",
        ]
        lines.append(f"form      {'; '.join(self.forms)}")
        if self.search is not None:
            lines.append(f"search    {self.search}")
        rungs = ", ".join(map(str, self.stop.rungs(self.steps)))
        if self.stop.stops:
            lines.append(f"stop      {self.stop!r}, compared at steps {rungs}: about {self.share:.0%} of all steps")
        elif isinstance(self.stop, Population):
            lines.append(f"search    {self.stop!r}, scored at steps {rungs}")
        if self.confirm is not None:
            lines.append(
                f"confirm   the best {count(self.confirm[0], 'setting')} with {count(self.confirm[1], 'seed')}"
            )
        return "\n".join(lines)

    @property
    def _place(self) -> str:
        """In words, what trains."""
        if self.on is not None:
            return str(self.on)
        return "CPU cores" if self.layout.backend == "cpu" else self.devices[0].device_kind

    @property
    def trials(self) -> list[Trial]:
        """The trials of the first batch, made anew: many of them take more memory than their points."""
        return [trial for trial, _, _ in self.placed()]

    def placed(self) -> Iterator[tuple[Trial, int, Member]]:
        """The trials of the first batch, each with the number of its group and its numbers in it."""
        for picks in self.points:
            trial = self.make(picks)
            yield trial, *self.grouping.assign(trial.value)

    def rows(self, points: Sequence[Picks], seeds: Sequence[int], first: int, trial: int, batch: int) -> list[Row]:
        """New rows of the ledger: runs of some points with some seeds.

        Args:
            points: the points.
            seeds: the seeds.
            first: number of the first row.
            trial: number of the first trial.
            batch: number of the batch.
        """
        made = [(self.make(picks).columns, encoded(picks)) for picks in points]
        runs = [(nth, seed) for nth in range(len(points)) for seed in seeds]
        return [
            Row(first + i, made[nth][0], seed, "waiting", 0, trial + nth, batch, made[nth][1])
            for i, (nth, seed) in enumerate(runs)
        ]


def plan(
    task: Task,
    space: Any,
    *,
    steps: int,
    trials: int | None = None,
    seeds: int | Sequence[int] = 1,
    search: Search | Optuna | Population | None = None,
    stop: Stop | None = None,
    confirm: tuple[int, int] | None = None,
    keep: int | Literal["all"] = 1,
    seed: int = 0,
    layout: Layout | None = None,
    on: On | None = None,
) -> Plan:
    """What `run` would do with these arguments. Nothing is written, and on CPU nothing is compiled.

    On an accelerator a program is compiled, to see whether so many runs fit in memory.

    Args:
        task: the training problem.
        space: a pytree with distributions at its leaves and `choice` in its structure; see `run`.
        steps: updates in a run, at least 1.
        trials: number of points of the space, at least 1. Default: all points of its grid, which then must be finite.
        seeds: number of seeds, or a list of different seeds from 0 to 2³² − 1. Default: 1.
        search: `"grid"`, `"random"`, `"quasi-random"`, `"tpe"`, or what `optuna` or `population` returns; see `run`.
        stop: what `halving`, `hyperband` or `median` returns; see `run`. Default: every run goes to its last step.
        confirm: `(k, n)` runs the best k settings with n further seeds; see `run`. Default: none.
        keep: of how many of the best settings the final states are kept; see `run`. Default: 1.
        seed: decides which points of the space are drawn. Default: 0.
        layout: devices, width of a chunk, merging and form of the start; see `Layout`. Default: as the backend needs.
        on: what trains: `processes(...)` or `ray(...)`; see `run`. Default: this process.

    Returns:
        The plan; print it, give it to `estimate` or to `execute`.

    Raises:
        ValueError: an argument is out of range, the task's stream has fewer steps, or the task needs a drawn number
            while its model is built.
        TypeError: a leaf of the space is neither a number nor hashable, or `on` is of another type.

    Example:
        >>> from jaxopt_lite import optimizers as opt, sweeps, training
        >>> from jaxopt_lite.activations import relu, tanh
        >>> space = {"activation": sweeps.choice([relu, tanh]), "optimizer": opt.adam(sweeps.log_uniform(1e-4, 1e-1))}
        >>> print(sweeps.plan(training.builtin("digits"), space, trials=100, seeds=3, steps=500))
        task      digits, 500 steps a run, ranked by validation_accuracy (max)
        trials    100 settings × 3 seeds = 300 runs
        programs  2 training programs for 2 structures; one starting program per initialisation
        chunks    ... of 2 runs, ... at a time on CPU cores
        form      vmap over 2 runs
    """
    _checked.check(task)
    _checked.check_number(steps)
    try:
        _checked.check_steps(task, int(steps))
    except ValueError as error:
        raise TaskError(str(error)) from error
    seed = _arguments.seed(seed)
    if task.mode not in ("min", "max"):
        raise TaskError(f'the mode of task {task.name!r} must be "min" or "max", got {task.mode!r}')
    if any(mode not in ("min", "max") for mode in task.modes.values()):
        raise TaskError(f'the modes of task {task.name!r} must be "min" or "max", got {dict(task.modes)!r}')
    # the states of merged optimizers do not show which of their arrays are settings, which a population must know
    chosen = layout or Layout()
    if isinstance(search, Population):
        chosen = chosen._replace(merge=False)
    chosen = _arguments.placed(chosen.resolved(task.merge), on)
    listed = _arguments.seeds(seeds)
    if isinstance(search, Population):
        trials = _arguments.members(search, trials, listed, stop, confirm, layout)
    rule = _arguments.stop(search if isinstance(search, Population) else stop, int(steps))
    sampler, most, drawn = _searched(space, search, trials, seed, listed, int(steps), task.mode == "min")
    examples = structures(space)
    if examples is None and sampler is not None:
        raise ValueError(
            f"the space has more than {MOST_STRUCTURES} combinations of alternatives, too many for {sampler}: "
            "use values([...]) or integers(...) for numbers, or fewer choices"
        )
    make = Trials(space, examples or drawn)
    grouping = Groups([make(picks).value for picks in examples or drawn], merge=bool(chosen.merge))
    branches = [(nth, member.branches) for nth, member in (grouping.assign(make(picks).value) for picks in drawn)]
    first = rule.orders(
        History(int(steps), listed, task.mode == "min", (tuple(range(len(drawn))),), {}), range(len(drawn))
    )
    return Plan(
        task=task,
        space=space,
        make=make,
        points=drawn,
        alike=Counter(branches),
        seeds=listed,
        steps=int(steps),
        search=sampler,
        most=most,
        stop=rule,
        confirm=_arguments.confirm(confirm, most),
        keep=_arguments.keep(keep),
        seed=seed,
        grouping=grouping,
        widths=Widths(task, grouping.groups, chosen, _runs_at_a_time(len(grouping.groups), branches, first, sampler)),
        layout=chosen,
        workers=_width.workers(chosen) if on is None else on.workers(),
        on=on,
    )


def _searched(
    space: Any, search: Any, trials: int | None, seed: int, seeds: tuple[int, ...], steps: int, minimise: bool
) -> tuple[Optuna | None, int, list[Picks]]:
    """What proposes later batches, the largest number of trials, and the points of the first batch."""
    if isinstance(search, Population):
        drawn = points(space, search.size, "random", seed)
        if len(drawn) < search.size:
            raise TaskError(f"{search!r} needs {search.size} different points, and the space has {len(drawn)}")
        return None, search.size, drawn
    sampler = optuna(search) if search == "tpe" else search
    if not isinstance(sampler, Optuna):
        drawn = points(space, trials, search, seed)
        return None, len(drawn), drawn
    check_trials(trials)
    if trials is None:
        raise ValueError(f"search={sampler} needs to know how many trials to ask for, as trials=100")
    history = History(steps, seeds, minimise, (), {})
    return sampler, trials, sampler.next_batch(space, seed, history, [], trials)


def _runs_at_a_time(
    groups: int, branches: Sequence[tuple[int, tuple[int, ...]]], first: Sequence[Order], sampler: Optuna | None
) -> dict[int, int]:
    """How many runs of equal structure each group has at the start; a sampler may later give all to one group."""
    if sampler is not None:
        return dict.fromkeys(range(groups), len(first))
    alike = Counter(branches[order.trial] for order in first)
    return {nth: max([n for (group, _), n in alike.items() if group == nth], default=1) for nth in range(groups)}
