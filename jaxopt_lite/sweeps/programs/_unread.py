"""Settings of a space that have no effect on a task: every value of them would train the same thing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.programs._program import Traced
from jaxopt_lite.sweeps.strategies import Population


class UnreadError(TaskError):
    """A column of the sweep varies and has no effect on the task."""


class _Placed(NamedTuple):
    """The settings of trials by name, their groups, and their numbers in these; lists take less memory than trials."""

    columns: dict[str, list[Any]]
    groups: list[int]
    numbers: list[tuple[Any, ...]]


def check_read(planned: Plan, traced: Mapping[int, Traced]) -> None:
    """Check that each column of a sweep that varies has an effect on the task, as far as its programs show it.

    A drawn number is read if it is an input of an operation. Alternatives are read if their programs differ. A number
    that is copied to the state, as the settings of an optimizer are, counts as read.

    Args:
        planned: the sweep.
        traced: for each group that is traced, its programs. Trials of other groups are not looked at.

    Raises:
        UnreadError: a column has no effect; the message names it. Or the sweep is a population, and a number that is
            copied to the carry is not found there.
    """
    for programs in traced.values() if isinstance(planned.stop, Population) else ():
        if any(programs.start_only) and not any(programs.settings):
            raise UnreadError(
                f"task {planned.task.name!r} reads a number of the trial in init alone, so a population cannot change "
                "it during training: read it in step, or keep it in the state of an optimizer of jaxopt_lite"
            )
    placed = _Placed({name: [] for name in planned.make.columns}, [], [])
    for trial, nth, member in planned.placed():
        if nth in traced:
            for name, column in placed.columns.items():
                column.append(trial.columns[name])
            placed.groups.append(nth)
            placed.numbers.append(member.numbers)
    for name in planned.make.columns:
        values = {repr(value) for value in placed.columns[name]}
        if len(values) > 1 and not (_number_read(name, placed, traced) and _alternatives_read(name, placed, traced)):
            raise UnreadError(
                f"{name!r} has no effect on task {planned.task.name!r}: it is never read, or its {len(values)} values "
                "give the same computation; remove it from the space, or use it in the task"
            )


def _number_read(name: str, placed: _Placed, traced: Mapping[int, Traced]) -> bool:
    """False if the column is found among the numbers of the trials and no program uses it."""
    found = False
    for nth in dict.fromkeys(placed.groups):
        members = [i for i, group in enumerate(placed.groups) if group == nth]
        column = [placed.columns[name][i] for i in members]
        if not all(isinstance(x, int | float) for x in column):
            return True
        for place, flag in enumerate(traced[nth].used):
            numbers = [placed.numbers[i][place] for i in members]
            if all(np.ndim(x) == 0 and not hasattr(x, "weak_type") for x in numbers) and numbers == column:
                found = True
                if flag:
                    return True
    return not found


def _alternatives_read(name: str, placed: _Placed, traced: Mapping[int, Traced]) -> bool:
    """False if trials of different values are in different groups whose programs are equal."""
    groups: dict[tuple[str, ...], dict[str, set[int]]] = {}
    others = {other: column for other, column in placed.columns.items() if other != name}
    for i, (value, group) in enumerate(zip(placed.columns[name], placed.groups, strict=True)):
        rest = tuple(f"{k}={column[i]}" for k, column in others.items() if not isinstance(column[i], float))
        groups.setdefault(rest, {}).setdefault(repr(value), set()).add(group)
    alone = True
    for by_value in groups.values():
        values = list(by_value.values())
        if len(values) < 2:
            continue
        alone = False
        if len(set.union(*values)) < sum(map(len, values)):
            return True  # values that share a group are numbers
        if len({traced[nth].digests for nth in set.union(*values)}) > 1:
            return True
    return alone
