"""How many trials a program trains side by side: few on a CPU, as many as fit on an accelerator."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite import optimizers
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.programs._convolutions import has_convolutions
from jaxopt_lite.sweeps.programs._group import Group
from jaxopt_lite.sweeps.programs._layout import Layout
from jaxopt_lite.sweeps.programs._trace import explained, flattened, shape_of, trace
from jaxopt_lite.training import Task, _checked
from jaxopt_lite.training._run import keys, start
from jaxopt_lite.training.streams._stream import step_data

# Half a megabyte to two of second-level cache are common; the width must not depend on this machine, or the
# bits of a trial would. Three copies: parameters, their gradients, and what the optimizer keeps.
CACHE_BYTES = 1 << 20
COPIES = 3
# Bytes of the parameters of a chunk of small trials.
SMALL_BYTES = 96 << 10
WIDEST_ON_CPU = 16
WIDEST_ON_ACCELERATOR = 4096


class Widths:
    """The number of runs in a chunk, by number of a group; each is found when it is asked for.

    Attributes:
        errors: what the task raised while the width of a group was to be found; the width is then 1.
    """

    def __init__(self, task: Task, groups: Sequence[Group], layout: Layout, runs: Mapping[int, int]) -> None:
        """Widths for a task.

        Args:
            task: the training problem.
            groups: the groups.
            layout: how runs are packed.
            runs: how many runs of a group there may be at a time, by number of the group.
        """
        self._task, self._groups, self._layout, self._runs = task, groups, layout, runs
        self.errors: dict[int, Exception] = {}
        self._known: dict[int, int] = {}
        self._convolving: dict[int, bool] = {}

    def __getitem__(self, nth: int) -> int:
        """The width of a group.

        On CPU that of a program with convolutions is 1: under `vmap` they take two to three times as long.

        Raises:
            ValueError: the task needs a drawn number while its program is built.
        """
        if nth not in self._known:
            try:
                layout = self._layout.rotated(nth)
                width = width_of(self._task, self._groups[nth], layout, self._runs[nth])
                one_at_a_time = self._layout.width is None and width > 1 and self._convolves(nth)
            except TaskError:
                raise
            except Exception as error:  # of the model of one structure; others may be sound
                self.errors[nth], width, one_at_a_time = error, 1, False
            self._known[nth] = 1 if one_at_a_time else width
        return self._known[nth]

    def of_ledger(self, known: Mapping[int, int]) -> "Widths":
        """These widths, with those that a ledger was begun with unless the layout gives one.

        On an accelerator they depend on the number of runs, which grows with a sweep, and its programs must not change.
        """
        widths = Widths(self._task, self._groups, self._layout, self._runs)
        if self._layout.width is None:
            widths._known.update(known)
        return widths

    def form(self, nth: int) -> str:
        """In words, how the program of a group runs a chunk."""
        width = self[nth]
        if nth in self.errors:
            return "none: the task raises an error"
        text = f"vmap over {width} runs" if width > 1 else "one run, without vmap"
        return text + ", convolutions in the form that is fast on CPU" if self._convolves(nth) else text

    def _convolves(self, nth: int) -> bool:
        """Whether the program of a group has convolutions and is laid out for a CPU."""
        if nth not in self._convolving:
            self._convolving[nth] = self._layout.backend == "cpu" and _convolves(self._task, self._groups[nth])
        return self._convolving[nth]


def width_of(task: Task, group: Group, layout: Layout, runs: int) -> int:
    """The width C of a group. On CPU it depends on the model alone, since a trial's bits depend on it.

    The states of merged optimizers are not counted, since the sweep's other optimizers decide how large those are.

    Args:
        task: the training problem.
        group: the group.
        layout: how runs are packed.
        runs: number of runs that there may be at a time.
    """
    assert layout.devices is not None
    if layout.width is not None:
        return layout.width
    device = layout.devices[0]
    if layout.backend == "cpu":
        with explained(task):
            seed = jax.ShapeDtypeStruct((), jnp.uint32)
            # the example is made inside the trace, where its numbers are tracers: NNX refuses arrays in attributes
            state = jax.eval_shape(
                lambda seed: flattened(start(task, group.example(optimizers.sgd(0.0)), seed))[0], seed
            )
        return cpu_width(bytes_of(state))

    def needed(width: int) -> float:
        traced = trace(task, group, width, device, layout)
        programs = [traced.segment, *([traced.recording.program] if traced.recording else [])]
        try:
            found = [program.compiled()[0].memory_analysis() for program in programs]
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return math.inf
        return max(int(m.temp_size_in_bytes + m.argument_size_in_bytes + m.output_size_in_bytes) for m in found)

    limit = (device.memory_stats() or {}).get("bytes_limit", 8 << 30)
    return accelerator_width(needed, limit, runs)


def _convolves(task: Task, group: Group) -> bool:
    """Whether the step of a task has convolutions."""

    def step(seed: Any, data: Any) -> Any:
        trial = group.example(optimizers.sgd(0.0))
        return _checked.step(task, trial, start(task, trial, seed), data, keys(seed)[1])

    with explained(task):
        seed, data = jax.ShapeDtypeStruct((), jnp.uint32), jax.tree.map(shape_of, step_data(task))
        return has_convolutions(jax.make_jaxpr(step)(seed, data).jaxpr)


def cpu_width(bytes_a_trial: int) -> int:
    """How many trials a CPU core trains side by side: a power of two from 1 to 16.

    Side by side, small trials share the fixed cost of a step. Larger ones gain nothing from it, and narrow chunks are
    easier to fill when a search stops some of their runs. So the width is that of which the parameters of all trials
    take up to `SMALL_BYTES`, but 2 where three copies of two trials stay in a core's second-level cache.
    """
    size = max(1, bytes_a_trial)
    least = 2 if 2 * COPIES * size <= CACHE_BYTES else 1
    return min(WIDEST_ON_CPU, max(least, 1 << max(0, (SMALL_BYTES // size).bit_length() - 1)))


def accelerator_width(needed_bytes: Callable[[int], float], memory_bytes: int, trials: int) -> int:
    """The number of trials there are, or as many as memory holds, by the compiler's memory analysis.

    The analysis is linear in the width and some 15 % and 25 MB too low (measured on CPU), so that much is left free.
    The width is a multiple of 8, and never far above the number of trials there are.

    Args:
        needed_bytes: what a program of a given width needs, infinity if it does not compile for lack of memory. The
            program of all trials is analysed first, since that is the one to run if it fits; only if it does not, two
            small ones, or the widest that compiles if the second of these does not.
        memory_bytes: memory of the device.
        trials: how many there may be at a time.
    """
    wanted, usable = min(-(-trials // 8) * 8, WIDEST_ON_ACCELERATOR), memory_bytes / 1.15 - 25e6
    if needed_bytes(wanted) <= usable:
        return wanted
    at_8, at_16 = needed_bytes(8), needed_bytes(16)
    if math.isinf(at_16):
        return next((width for width in (8, 4, 2) if needed_bytes(width) <= usable), 1)
    each = max(1, (at_16 - at_8) // 8)
    fixed = max(0, 2 * at_8 - at_16)  # the data, above all
    fitting = int((usable - fixed) // each)
    return max(1, min(fitting // 8 * 8 or fitting, wanted))


def bytes_of(tree: Any) -> int:
    """Bytes in the arrays (or shapes) of a tree."""
    return sum(x.size * jax.dtypes.canonicalize_dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))


def workers(layout: Layout) -> int:
    """How many chunks run at a time: one per core on one CPU device, one per device otherwise."""
    devices = layout.devices or ()
    if layout.backend != "cpu" or len(devices) > 1:
        return len(devices)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
