"""From a task and a group to its programs, traced and lowered."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite._names import unknown
from jaxopt_lite.optimizers._settings import is_setting
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.programs._convolutions import for_cpu, has_convolutions
from jaxopt_lite.sweeps.programs._executables import Lowered, lowered
from jaxopt_lite.sweeps.programs._group import Group
from jaxopt_lite.sweeps.programs._layout import Layout
from jaxopt_lite.sweeps.programs._mapped import mapped
from jaxopt_lite.sweeps.programs._program import Traced
from jaxopt_lite.sweeps.programs._recording import recording
from jaxopt_lite.training import Task, _checked
from jaxopt_lite.training._run import Curve, advance, blank, real_scalar, start
from jaxopt_lite.training.streams._stream import Feed, Window, step_data

Array = jax.Array


_NOT_CONCRETE = re.compile(
    r"Shapes must be 1D sequences of concrete values|'list' and '\w*Tracer'|non-int of type '\w*Tracer'|"
    r"'\w*Tracer' object cannot be interpreted as an integer"
)


@contextmanager
def explained(task: Task) -> Iterator[None]:
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


def trace(task: Task, group: Group, width: int, device: Any, layout: Layout) -> Traced:
    """Trace and lower the programs of a group for `width` trials on one device.

    Programs for CPUs have their convolutions, in the steps and in the evaluation, in the form that is fast there; see
    `for_cpu`. A program of one trial has no axis of trials, since batched products of one are slower on CPU.

    Raises:
        TaskError: the task needs to know a number that is data, or its scores are without its objective.
    """
    with explained(task):
        return _traced(task, group, width, device, layout)


class _Shapes(NamedTuple):
    """Shapes of what the programs of a group are given, and the structure of the task's data.

    The data are a list, so that an executable can be loaded where the task's own types are not known.
    """

    branches: list[Any]
    numbers: list[Any]
    seeds: Any
    data: list[Any]
    data_tree: Any


class _Start(NamedTuple):
    """The program that starts the trials; how a carry is made of its arrays, and which of them are settings."""

    program: Lowered
    restore: Callable[[Sequence[Array]], Any]
    settings: list[bool]


def _traced(task: Task, group: Group, width: int, device: Any, layout: Layout) -> Traced:
    branches = [jax.ShapeDtypeStruct((), jnp.int32) for _ in group.alternatives]
    data, data_tree = jax.tree.flatten(jax.tree.map(shape_of, task.data))
    seeds = jax.ShapeDtypeStruct((width,), jnp.uint32)
    shapes = _Shapes(branches, group.signature(width), seeds, data, data_tree)
    feed = Feed(task.stream, width, device) if task.stream else None
    first, restore, settings = _start(task, group, shapes, device, layout)
    carry, points = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), first.program.out_info)
    windows = (feed.shapes,) if feed else ()
    bounds = jax.ShapeDtypeStruct((4,), jnp.int32)
    arguments = (branches, shapes.numbers, seeds, carry, points, data, bounds, *windows)
    program = _segment(task, group, width, restore, data_tree)
    rewrite = layout.backend == "cpu"
    if rewrite and has_convolutions(jax.jit(program).trace(*arguments).jaxpr.jaxpr):
        program = _segment(task, group, width, restore, data_tree, for_cpu)
    second = lowered(program, device, arguments, donated=(3, 4))
    inputs = slice(len(branches), len(branches) + len(shapes.numbers))
    flags = list(zip(first.used[inputs], second.used[inputs], strict=True))
    used, start_only = [a or b for a, b in flags], [a and not b for a, b in flags]
    evaluation, test = second.program.out_info[2]
    for name in test:
        if name in evaluation:
            raise TaskError(f"evaluate and test of task {task.name!r} both return a score {name!r}; rename one of them")
    given = (branches, shapes.numbers, carry, data)
    third = recording(task, group, restore, data_tree, width, device, rewrite, given) if task.diagnose else None
    return Traced(first, second, width, carry, (*evaluation, *test), used, settings, start_only, third, feed)


def _start(task: Task, group: Group, shapes: _Shapes, device: Any, layout: Layout) -> _Start:
    """The program that starts trials."""
    width = shapes.seeds.shape[0]
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

    program = lowered(started, device, (shapes.branches, shapes.numbers, shapes.seeds))
    return _Start(program, restores[-1], settings)


def _segment(
    task: Task,
    group: Group,
    width: int,
    restore: Callable[[Sequence[Array]], Any],
    data_tree: Any,
    form: Callable[[Any], Any] = lambda one: one,
) -> Callable[..., Any]:
    """The function that advances trials from the step `bounds[0]` to `bounds[1]`, and scores them.

    Its argument `bounds` has the stride of the curves as third entry; the fourth is 1 for the scores of `evaluate`, 2
    for those of `test` too, and 0 for none.
    """

    def one(
        branches: Any, bounds: Any, data: Any, window: Window | None, numbers: Any, seed: Any, carry: Any, points: Any
    ) -> Any:
        trial = group.rebuilt(branches, numbers)
        fed = data if window is None else window
        state, curve = advance(task, trial, restore(carry), Curve(points, bounds[2]), fed, seed, bounds[:2])
        scores = (
            _if_asked(bounds[3] >= 1, lambda: _evaluated(task, trial, state, data)),
            _if_asked(bounds[3] >= 2, lambda: _tested(task, trial, state, data)) if task.test else {},
        )
        return flattened(state)[0], curve.points, scores

    def segment(
        branches: Any, numbers: Any, seeds: Any, carry: Any, points: Any, data: Any, bounds: Any, *windows: Window
    ) -> Any:
        data = jax.tree.unflatten(data_tree, data)

        def of_trial(numbers: Any, seed: Any, carry: Any, points: Any, *shift: Any) -> Any:
            window = windows[0]._replace(shift=shift[0]) if windows else None
            return one(branches, bounds, data, window, numbers, seed, carry, points)

        return mapped(form(of_trial), width)(numbers, seeds, carry, points, *(window.shift for window in windows))

    return segment


def _if_asked(asked: Array, scores: Callable[[], dict[str, Array]]) -> dict[str, Array]:
    """The scores, or zeros. The condition is one for all trials, so that under vmap it stays a condition."""
    shapes: dict[str, Any] = {}

    def taken() -> dict[str, Array]:
        found = scores()
        shapes.update(jax.tree.map(shape_of, found))
        return found

    def skipped() -> dict[str, Array]:  # traced after the other branch, which knows the shapes
        return {name: jnp.zeros(x.shape, x.dtype) for name, x in shapes.items()}

    return jax.lax.cond(asked, taken, skipped)


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
