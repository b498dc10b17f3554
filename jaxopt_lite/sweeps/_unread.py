"""Settings of a space that have no effect on a task: every value of them would train the same thing."""

from collections.abc import Sequence

import numpy as np

from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps._task_error import TaskError


class UnreadError(TaskError):
    """A column of the sweep varies and has no effect on the task."""


def check_read(planned: Plan, digests: Sequence[tuple[str, str]], used: Sequence[Sequence[bool]]) -> None:
    """Check that each column of a sweep that varies has an effect on the task, as far as its programs show it.

    A drawn number is read if it is an input of an operation. Alternatives are read if their programs differ. A number
    that is copied to the state, as the settings of an optimizer are, counts as read.

    Args:
        planned: the sweep.
        digests: for each group, those of its programs.
        used: for each group, whether each number of its trials is used by a program.

    Raises:
        UnreadError: a column has no effect; the message names it.
    """
    for name in planned.trials[0].columns:
        values = {repr(trial.columns[name]) for trial in planned.trials}
        if len(values) > 1 and not (_number_read(planned, name, used) and _alternatives_read(planned, name, digests)):
            raise UnreadError(
                f"{name!r} has no effect on task {planned.task.name!r}: it is never read, or its {len(values)} values "
                "give the same computation; remove it from the space, or use it in the task"
            )


def _number_read(planned: Plan, name: str, used: Sequence[Sequence[bool]]) -> bool:
    """False if the column is found among the numbers of the trials and no program uses it."""
    found = False
    for group, flags in zip(planned.groups, used, strict=True):
        column = [planned.trials[member.trial].columns[name] for member in group.members]
        if not all(isinstance(x, int | float) for x in column):
            return True
        for i, flag in enumerate(flags):
            numbers = [member.numbers[i] for member in group.members]
            if all(np.ndim(x) == 0 and not hasattr(x, "weak_type") for x in numbers) and numbers == column:
                found = True
                if flag:
                    return True
    return not found


def _alternatives_read(planned: Plan, name: str, digests: Sequence[tuple[str, str]]) -> bool:
    """False if trials of different values are in different groups whose programs are equal."""
    groups: dict[tuple[str, ...], dict[str, set[int]]] = {}
    for nth, group in enumerate(planned.groups):
        for member in group.members:
            columns = planned.trials[member.trial].columns
            rest = tuple(f"{k}={v}" for k, v in columns.items() if k != name and not isinstance(v, float))
            groups.setdefault(rest, {}).setdefault(repr(columns[name]), set()).add(nth)
    alone = True
    for by_value in groups.values():
        members = list(by_value.values())
        if len(members) < 2:
            continue
        alone = False
        if len(set.union(*members)) < sum(map(len, members)):
            return True  # values that share a group are numbers
        if len({digests[nth] for nth in set.union(*members)}) > 1:
            return True
    return alone
