"""One run: a task, a trial and a seed, trained for a number of steps."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.diagnostics import Diagnosis, Record
from jaxopt_lite.training import _checked
from jaxopt_lite.training._record import recorded_steps
from jaxopt_lite.training._shown import shown
from jaxopt_lite.training._task import Task
from jaxopt_lite.training._trial import is_number, with_fixed
from jaxopt_lite.training.streams._stream import Feed, batch_of

Array = jax.Array
POINTS = 100


class Curve(NamedTuple):
    """Step metrics of a run, as `POINTS` means over `stride` steps each.

    A point is the sum over its steps of metric / stride. So the mean of a stretch of fewer steps is
    point × stride / steps, and a point is finite wherever the mean of finite metrics is.
    """

    points: dict[str, Array]  # (POINTS,) each, float32 or float64
    stride: Any  # () int32


class Trained(NamedTuple):
    """The result of one run.

    Attributes:
        carry: the final state of the run; for supervised tasks its `weights` and `optimizer`.
        scores: what the task's `evaluate` and `test` return at the end, as Python floats.
        curve: by name of a step metric, pairs (step, mean since the step of the pair before).
        model_of: the function from the carry to the trained model, None if the task has no `model`. It is not pickled.
        diagnoses: by step, the state of the layers, if the task is made with `diagnose=True`; else empty.

    Example:
        >>> from flax import nnx
        >>> from jaxopt_lite import optimizers, training
        >>> x = jnp.linspace(-1, 1, 20)[:, None]
        >>> build = lambda trial, rngs: nnx.Linear(1, 1, rngs=rngs)
        >>> task = training.supervised(build, ((x, 2 * x), (x, 2 * x)), "mse", "full")
        >>> trained = training.run(task, {"optimizer": optimizers.adam(0.1)}, steps=200)
        >>> bool(jnp.allclose(trained.model()(x), 2 * x, atol=1e-3))
        True
    """

    carry: Any
    scores: dict[str, float]
    curve: dict[str, list[tuple[int, float]]]
    model_of: Callable[[Any], Any] | None = None
    diagnoses: Mapping[int, Diagnosis] = {}

    def model(self) -> Any:
        """The trained model, with the parameters that were scored.

        Returns:
            What the task's `model` makes of the trial and the carry. For `supervised` with an NNX module, that module
            in the mode `eval()`: `trained.model()(x)`. With a Linen module a pair: `module, variables =
            trained.model()`, then `module.apply(variables, x)`, with `train=False` (or as the argument is called) if
            its `__call__` has such an argument. A new model each time.

        Raises:
            ValueError: the task has no `model`, or this result was pickled.

        Example:
            >>> from jaxopt_lite import activations, optimizers, training
            >>> trial = {"activation": activations.tanh, "optimizer": optimizers.adam(0.01)}
            >>> model = training.run(training.builtin("spirals"), trial, steps=10).model()
            >>> model(jnp.zeros((5, 2))).shape
            (5, 2)
        """
        if self.model_of is None:
            raise ValueError(
                "this result has no model: its task has no function model(trial, carry), or it was pickled; "
                "call task.model(trial, trained.carry) of a task that has one"
            )
        return self.model_of(self.carry)

    def __repr__(self) -> str:
        """In a line: the scores, the steps, and the carry without the entries of its arrays."""
        steps = next((points[-1][0] for points in self.curve.values() if points), 0)
        values = ", ".join(f"{name}={value:.4g}" for name, value in self.scores.items())
        return f"Trained({values}, steps={steps}, carry={shown(self.carry)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Trained, (*self[:3], None, self.diagnoses)  # the functions of a task are seldom importable by name


def keys(seed: Any) -> tuple[Array, Array]:
    """The two keys of a run: one initialises it, the other is folded with the step number."""
    init_key, steps_key = jax.random.split(jax.random.key(seed))
    return init_key, steps_key


def start(task: Task, trial: Any, seed: Any) -> Any:
    """The carry before the first step."""
    return _checked.init(task, trial, keys(seed)[0])


def stride_of(steps: int, unit: int = 1) -> int:
    """Steps in a point of the curve of a run of `steps` steps, a multiple of `unit`."""
    return unit * max(1, -(-steps // (POINTS * unit)))


def blank(task: Task, trial: Any, carry: Any, data: Any) -> dict[str, Array]:
    """The points of a curve before the first step; `data` has the shapes that the task's step is given.

    Raises:
        ValueError: a metric of the task's step is not a real scalar.
    """

    def metrics_of(carry: Any, data: Any) -> dict[str, Array]:
        return _scalars(task, "step", _checked.step(task, trial, carry, batch_of(data, 0), jax.random.key(0))[1])

    metrics = jax.eval_shape(metrics_of, carry, data)
    return {name: jnp.zeros(POINTS, x.dtype) for name, x in metrics.items()}


def _scalars(task: Task, function: str, found: Mapping[str, Any]) -> dict[str, Array]:
    return {name: real_scalar(task, function, name, value) for name, value in found.items()}


def real_scalar(task: Task, function: str, name: str, value: Any) -> Array:
    """A metric or score as a scalar of float32, or float64 if it is one.

    Raises:
        ValueError: it is not a real scalar.
    """
    array = jnp.asarray(value)
    if array.shape != () or not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        raise ValueError(
            f"{function} of task {task.name!r} must give scalars, but {name!r} has shape {array.shape} and dtype "
            f"{array.dtype}"
        )
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{function} of task {task.name!r} must give real numbers, but {name!r} is complex")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def scores(task: Task, trial: Any, carry: Any, data: Any) -> dict[str, Array]:
    """The scores of a finished run: those of the task's `evaluate`, then those of its `test`.

    Raises:
        ValueError: a score is not a real scalar, or both functions return a score of one name.
    """
    evaluated = _scalars(task, "evaluate", _checked.evaluate(task, trial, carry, data))
    tested = _scalars(task, "test", _checked.test(task, trial, carry, data))
    for name in tested:
        if name in evaluated:
            raise ValueError(
                f"evaluate and test of task {task.name!r} both return a score {name!r}: return it from one of them"
            )
    return evaluated | tested


def advance(task: Task, trial: Any, carry: Any, curve: Curve, data: Any, seed: Any, span: Array) -> tuple[Any, Curve]:
    """The run after the steps `span[0] <= i < span[1]`.

    `data` are those of the task, or a window of its stream. The bounds are data: one compiled loop serves any stretch
    of any run, and a run cut into stretches is bitwise identical to the run in one piece.
    """
    steps_key = keys(seed)[1]

    def body(i: Array, state: tuple[Any, Curve]) -> tuple[Any, Curve]:
        carry, curve = state
        carry, metrics = _checked.step(task, trial, carry, batch_of(data, i), jax.random.fold_in(steps_key, i))
        at = i // curve.stride
        values = _scalars(task, "step", metrics)
        points = {n: p.at[at].add(values[n] / curve.stride.astype(p.dtype)) for n, p in curve.points.items()}
        return carry, curve._replace(points=points)

    return jax.lax.fori_loop(span[0], span[1], body, (carry, curve))


def means(points: Any, stride: int, step: int, steps: int) -> np.ndarray:
    """The points of a curve as means over the `step` steps made of a run of `steps`; NaN where none was made."""
    factors = _factors(stride, step, steps)
    return np.asarray(points)[: len(factors)] * factors


@lru_cache(maxsize=256)
def _factors(stride: int, step: int, steps: int) -> np.ndarray:
    ends = np.minimum(np.arange(stride, steps + stride, stride), steps)
    counts = np.diff(np.minimum(ends, step), prepend=0)
    return np.where(counts > 0, stride / np.maximum(counts, 1), np.nan)


def run(task: Task, trial: Any, *, steps: int, seed: int = 0) -> Trained:
    """Train one trial for `steps` steps and score it.

    Programs are compiled once per task and structure of the trial: other numbers in its optimizer or its bound
    activation, other seeds and other numbers of steps use the same programs. Plain values in the trial (numbers,
    strings, functions) are static, as in `sweeps.run`.

    Args:
        task: the training problem, from `supervised`, `builtin` or `Task`.
        trial: its settings, any pytree the task accepts; for supervised tasks a dict with an entry `"optimizer"`.
        steps: number of updates, from 1 to 2³¹ − 1.
        seed: seed of the initialisation, the order of the data and dropout, from 0 to 2³² − 1.

    Returns:
        The final carry, the scores, and the learning curve as at most 100 means; its method `model` returns the
        trained model of a supervised task.

    Raises:
        ValueError: `steps`, `seed` or the task's mode is out of range, the task's stream has fewer steps, a metric or
            score is not a real scalar, a score is returned by both `evaluate` and `test`, or the task is to be
            diagnosed and records nothing.
        TypeError: `task` is not a `Task`, or one of its functions returns something else than `Task` says.

    Example:
        >>> from jaxopt_lite import optimizers, training
        >>> import jax.numpy as jnp
        >>> def init(trial, key):
        ...     w = jnp.float32(1.0)
        ...     return w, trial["optimizer"].init(w)
        >>> def step(trial, carry, data, key):
        ...     w, state = carry
        ...     updates, state = trial["optimizer"].update(2 * w, state, w)  # the gradient of w²
        ...     return (w + updates, state), {"loss": w**2}
        >>> task = training.Task(init, step, lambda trial, carry, data: {"test_loss": carry[0] ** 2}, None)
        >>> trained = training.run(task, {"optimizer": optimizers.sgd(0.25)}, steps=3)
        >>> trained.scores
        {'test_loss': 0.015625}
        >>> trained.curve["loss"]
        [(1, 1.0), (2, 0.25), (3, 0.0625)]
    """
    _checked.check(task)
    if task.mode not in ("min", "max"):
        raise ValueError(f'the mode of task {task.name!r} must be "min" or "max", got {task.mode!r}')
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 32:
        raise ValueError(f"seed must be a whole number from 0 to 2³² − 1, got {seed!r}")
    _checked.check_number(steps)
    _checked.check_steps(task, steps)
    leaves, tree = jax.tree.flatten(with_fixed(trial))
    static = tuple(None if is_number(leaf) else (type(leaf), leaf) for leaf in leaves)
    functions = (task.init, task.step, task.evaluate, task.test, task.record)
    try:
        programs = _cached_programs(task.name, functions, tree, static)
    except TypeError:  # a static leaf or function that cannot be hashed
        programs = _programs(task.name, functions, tree, static)
    stride, diagnoses = stride_of(steps), dict[int, Diagnosis]()
    numbers, run_seed = [jnp.asarray(leaf) for leaf in leaves if is_number(leaf)], jnp.uint32(seed)
    given = numbers, task.data, run_seed
    feed = Feed(task.stream, width=1) if task.stream else None
    carry, points = programs.start(numbers, feed.blank.of(0) if feed else task.data, run_seed)
    begin = 0
    for end in [*recorded_steps(0, steps - 1), steps] if task.diagnose else [steps]:
        for first, last, data in _stretches(task, feed, seed, begin, end):
            span = jnp.array([first, last], jnp.int32)
            jax.block_until_ready(carry)  # so that no more windows are in memory than `Stream` says
            carry, points = programs.advance(numbers, data, run_seed, carry, points, span, jnp.int32(stride))
        if task.diagnose:
            diagnoses[end] = programs.record(*given, carry).diagnosis()
        begin = end
    ends = [min(i, steps) for i in range(stride, steps + stride, stride)]
    curve = {
        name: list(zip(ends, means(jax.device_get(p), stride, steps, steps).tolist(), strict=True))
        for name, p in points.items()
    }
    values = {name: float(value) for name, value in programs.score(*given, carry).items()}
    return Trained(carry, values, curve, partial(task.model, trial) if task.model else None, diagnoses)


def _stretches(task: Task, feed: Feed | None, seed: int, begin: int, end: int) -> Iterator[tuple[int, int, Any]]:
    """The steps `begin <= i < end` in stretches, and the data of each."""
    if feed is not None:
        yield from ((first, last, window.of(0)) for first, last, window in feed.windows([seed], begin, end))
    elif begin < end:
        yield begin, end, task.data


class _Programs(NamedTuple):
    """The compiled functions of a task for trials of one structure; all take numbers, data and seed first."""

    start: Callable[..., tuple[Any, dict[str, Array]]]
    advance: Callable[..., tuple[Any, dict[str, Array]]]
    score: Callable[..., dict[str, Array]]
    record: Callable[..., Record]


def _programs(
    name: str, functions: tuple[Any, ...], tree: Any, static: tuple[tuple[type, Any] | None, ...]
) -> _Programs:
    """The compiled functions of a task for a trial of this structure, for any numbers."""
    init, step, evaluate, test, recorder = functions
    task = Task(init, step, evaluate, None, name, test=test, record=recorder)
    labels: dict[Any, Any] = {}

    def trial_of(numbers: list[Array]) -> Any:
        rest = iter(numbers)
        return jax.tree.unflatten(tree, [next(rest) if leaf is None else leaf[1] for leaf in static])

    @jax.jit
    def started(numbers: list[Array], data: Any, seed: Array) -> Any:
        trial = trial_of(numbers)
        carry = start(task, trial, seed)
        return carry, blank(task, trial, carry, data)

    @jax.jit
    def advanced(
        numbers: list[Array], data: Any, seed: Array, carry: Any, points: Any, span: Array, stride: Array
    ) -> Any:
        carry, curve = advance(task, trial_of(numbers), carry, Curve(points, stride), data, seed, span)
        return carry, curve.points

    @jax.jit
    def scored(numbers: list[Array], data: Any, seed: Array, carry: Any) -> dict[str, Array]:
        return scores(task, trial_of(numbers), carry, data)

    @jax.jit
    def observed(numbers: list[Array], data: Any, seed: Array, carry: Any) -> Array:
        found = _checked.record(task, trial_of(numbers), carry, data)
        labels[shapes((numbers, data, seed, carry))] = found.labels
        return found.numbers

    def shapes(given: Any) -> tuple[Any, ...]:
        return tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(given))

    def recorded(*given: Any) -> Record:
        numbers = observed(*given)
        return Record(labels[shapes(given)], numbers)

    return _Programs(started, advanced, scored, recorded)


_cached_programs = lru_cache(maxsize=8)(_programs)


def clear() -> None:
    """Forget all compiled runs, to free their memory."""
    _cached_programs.cache_clear()
