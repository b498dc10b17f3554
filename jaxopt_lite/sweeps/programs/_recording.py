"""The program that records the state of the layers of C trials, apart from those that train and score them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax

from jaxopt_lite.diagnostics._conclude import Labels
from jaxopt_lite.sweeps.programs._convolutions import for_cpu, has_convolutions
from jaxopt_lite.sweeps.programs._executables import Lowered, lowered
from jaxopt_lite.sweeps.programs._group import Group
from jaxopt_lite.sweeps.programs._mapped import mapped
from jaxopt_lite.training import Task, _checked

Array = jax.Array


class Recording(NamedTuple):
    """The program, and what is static of that which it records.

    Attributes:
        program: a function of (branches, numbers, carry, data) that returns the numbers of `diagnostics.Record`.
        labels: the names of the layers.
    """

    program: Lowered
    labels: Labels


def recording(
    task: Task,
    group: Group,
    restore: Callable[[Sequence[Array]], Any],
    data_tree: Any,
    width: int,
    device: Any,
    rewrite: bool,
    arguments: tuple[Any, Any, Any, Any],
) -> Recording:
    """Trace and lower the program that records the layers of `width` trials.

    Args:
        task: the training problem.
        group: the group of the trials.
        restore: makes the carry of a trial from its arrays.
        data_tree: the structure of the task's data.
        width: number of trials.
        device: where the program runs.
        rewrite: whether convolutions are written in the form that is fast on CPU.
        arguments: shapes of branches, numbers, carry and the arrays of the data.
    """
    labels: list[Labels] = []

    def record(form: Callable[[Any], Any], branches: Any, numbers: Any, carry: Any, data: Any) -> Array:
        data = jax.tree.unflatten(data_tree, data)

        def one(numbers: Any, carry: Any) -> Array:
            found = _checked.record(task, group.rebuilt(branches, numbers), restore(carry), data)
            labels.append(found.labels)
            return found.numbers

        return mapped(form(one), width)(numbers, carry)

    program = partial(record, lambda one: one)
    if rewrite and width > 1 and has_convolutions(jax.jit(program).trace(*arguments).jaxpr.jaxpr):
        program = partial(record, for_cpu)  # convolutions under vmap
    return Recording(lowered(program, device, arguments), labels[-1])
