"""The programs of a group: one that starts C trials, one that advances and scores them."""

import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite import optimizers
from jaxopt_lite._names import unknown
from jaxopt_lite.diagnostics._conclude import Labels
from jaxopt_lite.optimizers._settings import is_setting
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.programs._convolutions import for_cpu, has_convolutions
from jaxopt_lite.sweeps.programs._executables import Lowered, lowered
from jaxopt_lite.sweeps.programs._group import Group
from jaxopt_lite.sweeps.programs._layout import Layout
from jaxopt_lite.sweeps.programs._mapped import mapped
from jaxopt_lite.sweeps.programs._recording import Recording, recording
from jaxopt_lite.sweeps.programs._width import accelerator_width, bytes_of, cpu_width
from jaxopt_lite.training import Task, _checked
from jaxopt_lite.training._run import Curve, advance, blank, keys, real_scalar, start, stride_of
from jaxopt_lite.training.streams._stream import Feed, Window, step_data

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
        span: tuple[int, int, int],
    ) -> Chunk:
        """The trials after the steps `span[0] <= i < span[1]` of a run of `span[2]`. Donates the chunk."""
        stretches: Iterable[tuple[Any, ...]] = [span[:2]]
        if self.feed is not None:
            stretches = self.feed.windows(seeds, *span[:2])
        leaves = jax.tree.leaves(data)
        for begin, end, *window in stretches:
            bounds = np.array([begin, end, stride_of(span[2]), 0], np.int32)
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


_NOT_CONCRETE = re.compile(
    r"Shapes must be 1D sequences of concrete values|'list' and '\w*Tracer'|non-int of type '\w*Tracer'|"
    r"'\w*Tracer' object cannot be interpreted as an integer"
)


@contextmanager
def _explained(task: Task) -> Iterator[None]:
    """Translate JAX's errors about tracers that are used as Python numbers."""
    try:
        yield
    except TypeError as error:
        concrete = jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError
        if not isinstance(error, concrete) and not _NOT_CONCRETE.search(str(error)):
            raise
        raise TaskError(
            f"task {task.name!r} needs a number of the trial while its program is built, as a width or the rate of "
            "Flax's Dropout is; numbers from uniform, log_uniform, integers and values are not known then. "
            "Give that one as choice([...]), which makes a program for each. "
            f"JAX says: {str(error).splitlines()[0]}"
        ) from error


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
        with _explained(task):
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


def _convolves(task: Task, group: Group) -> bool:
    """Whether the step of a task has convolutions."""

    def step(seed: Any, data: Any) -> Any:
        trial = group.example(optimizers.sgd(0.0))
        return _checked.step(task, trial, start(task, trial, seed), data, keys(seed)[1])

    with _explained(task):
        seed, data = jax.ShapeDtypeStruct((), jnp.uint32), jax.tree.map(shape_of, step_data(task))
        return has_convolutions(jax.make_jaxpr(step)(seed, data).jaxpr)


def trace(task: Task, group: Group, width: int, device: Any, layout: Layout) -> Traced:
    """Trace and lower the programs of a group for `width` trials on one device.

    Programs for CPUs have their convolutions, in the steps and in the evaluation, in the form that is fast there; see
    `for_cpu`. A program of one trial has no axis of trials, since batched products of one are slower on CPU.

    Raises:
        TaskError: the task needs to know a number that is data, or its scores are without its objective.
    """
    with _explained(task):
        return _traced(task, group, width, device, layout)


def _traced(task: Task, group: Group, width: int, device: Any, layout: Layout) -> Traced:
    branches = [jax.ShapeDtypeStruct((), jnp.int32) for _ in group.alternatives]
    numbers = group.signature(width)
    seeds = jax.ShapeDtypeStruct((width,), jnp.uint32)
    # the data are a list, so that an executable can be loaded where the task's own types are not known
    data, data_tree = jax.tree.flatten(jax.tree.map(shape_of, task.data))
    restores: list[Callable[[Sequence[Array]], Any]] = []
    settings: list[bool] = []

    def started(branches: Any, numbers: Any, seeds: Any) -> tuple[list[Array], dict[str, Array]]:
        def one(inputs: Any) -> tuple[list[Array], dict[str, Array]]:
            numbers, seed = inputs
            trial = group.rebuilt(branches, numbers)
            carry = start(task, trial, seed)
            arrays, restore = flattened(carry)
            restores.append(restore)
            settings[:] = jax.tree.leaves(is_setting(carry))
            return arrays, blank(task, trial, carry, step_data(task))

        return mapped(one, width)((numbers, seeds)) if layout.vmap_start else jax.lax.map(one, (numbers, seeds))

    first = lowered(started, device, (branches, numbers, seeds))
    restore = restores[-1]
    carry, points = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), first.program.out_info)

    def segment(
        form: Callable[[Any], Any],
        branches: Any,
        numbers: Any,
        seeds: Any,
        carry: Any,
        points: Any,
        data: Any,
        bounds: Any,
        *windows: Window,
    ) -> Any:
        data = jax.tree.unflatten(data_tree, data)

        def one(numbers: Any, seed: Any, carry: Any, points: Any, *shift: Any) -> Any:
            trial = group.rebuilt(branches, numbers)
            fed = windows[0]._replace(shift=shift[0]) if windows else data
            state, curve = advance(task, trial, restore(carry), Curve(points, bounds[2]), fed, seed, bounds[:2])

            def scored(function: Callable[..., Any], least: int) -> dict[str, Array]:
                shapes: dict[str, Any] = {}

                def taken() -> dict[str, Array]:
                    found = function(task, trial, state, data)
                    shapes.update(jax.tree.map(shape_of, found))
                    return found

                def skipped() -> dict[str, Array]:  # traced after the other branch, which knows the shapes
                    return {name: jnp.zeros(x.shape, x.dtype) for name, x in shapes.items()}

                # the condition is one for all trials, so that under vmap it stays a condition
                return jax.lax.cond(bounds[3] >= least, taken, skipped)

            scores = scored(_evaluated, 1), scored(_tested, 2) if task.test else {}
            return flattened(state)[0], curve.points, scores

        return mapped(form(one), width)(numbers, seeds, carry, points, *(window.shift for window in windows))

    feed = Feed(task.stream, width, device) if task.stream else None
    windows = (feed.shapes,) if feed else ()
    arguments = (branches, numbers, seeds, carry, points, data, jax.ShapeDtypeStruct((4,), jnp.int32), *windows)
    program = partial(segment, lambda one: one)
    rewrite = layout.backend == "cpu"
    if rewrite and has_convolutions(jax.jit(program).trace(*arguments).jaxpr.jaxpr):
        program = partial(segment, for_cpu)
    second = lowered(program, device, arguments, donated=(3, 4))
    inputs = slice(len(branches), len(branches) + len(numbers))
    flags = list(zip(first.used[inputs], second.used[inputs], strict=True))
    used, start_only = [a or b for a, b in flags], [a and not b for a, b in flags]
    evaluation, test = second.program.out_info[2]
    for name in test:
        if name in evaluation:
            raise TaskError(f"evaluate and test of task {task.name!r} both return a score {name!r}; rename one of them")
    given = (branches, numbers, carry, data)
    third = recording(task, group, restore, data_tree, width, device, rewrite, given) if task.diagnose else None
    return Traced(first, second, width, carry, (*evaluation, *test), used, settings, start_only, third, feed)


def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
    """Shape and JAX's dtype of an array or a Python number."""
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    dtype = leaf.dtype
    if not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    return jax.ShapeDtypeStruct(np.shape(leaf), dtype)


def flattened(carry: Any) -> tuple[list[Array], Callable[[Sequence[Array]], Any]]:
    """The arrays of a carry, random keys as their data, and the function that restores the carry from such arrays."""
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, carry))
    impls = [jax.random.key_impl(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else None for x in leaves]

    def restore(arrays: Sequence[Array]) -> Any:
        keyed = [x if i is None else jax.random.wrap_key_data(x, impl=i) for x, i in zip(arrays, impls, strict=True)]
        return jax.tree.unflatten(tree, keyed)

    return [x if i is None else jax.random.key_data(x) for x, i in zip(leaves, impls, strict=True)], restore


def _evaluated(task: Task, trial: Any, carry: Any, data: Any) -> dict[str, Array]:
    """What `evaluate` returns, as scalars of float32 (float64 if it returns that).

    Raises:
        ValueError: a score is not a scalar.
        TaskError: the task's objective is not among them.
    """
    found = _checked.evaluate(task, trial, carry, data)
    scores = {name: real_scalar(task, "evaluate", name, value) for name, value in found.items()}
    if task.objective not in scores:
        raise TaskError(f"task {task.name!r} is ranked by {unknown('score', task.objective, scores)}")
    return scores


def _tested(task: Task, trial: Any, carry: Any, data: Any) -> dict[str, Array]:
    """What `test` returns, as scalars of float32 (float64 if it returns that).

    Raises:
        ValueError: a score is not a scalar.
    """
    found = _checked.test(task, trial, carry, data)
    return {name: real_scalar(task, "test", name, value) for name, value in found.items()}


def _indices(branches: Sequence[int]) -> list[np.ndarray]:
    return [np.asarray(i, np.int32) for i in branches]
