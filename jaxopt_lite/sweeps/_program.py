"""The compiled programs of a group: one that starts C trials, one that takes them any number of steps further."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite import optimizers
from jaxopt_lite._names import unknown
from jaxopt_lite.sweeps._group import Group, stacked
from jaxopt_lite.sweeps._width import accelerator_width, bytes_of, cpu_width
from jaxopt_lite.training import Task
from jaxopt_lite.training._run import POINTS, Curve, advance, blank, start

Array = jax.Array

# One core a program: the cores are busy with other chunks, and the order of a sum must not depend on their number.
CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_multi_thread_eigen": False}


class Chunk(NamedTuple):
    """The state of C trials side by side, all at the same step, as plain arrays."""

    carry: list[Any]
    sums: dict[str, Any]


class Programs(NamedTuple):
    """What a group runs: `started(...)` and `advanced(...)` on one device, and the width C they are compiled for."""

    start: Any
    segment: Any
    width: int
    digest: str

    def started(self, taken: Sequence[int], numbers: list[Any], seeds: Any) -> Chunk:
        """C trials before their first step."""
        return Chunk(*self.start(_indices(taken), numbers, seeds))

    def advanced(
        self, taken: Sequence[int], numbers: list[Any], seeds: Any, chunk: Chunk, data: Any, span: tuple[int, int, int]
    ) -> tuple[Chunk, dict[str, Array]]:
        """The trials after the steps `span[0] <= i < span[1]` of a run of `span[2]`, and their scores there."""
        bounds = np.array([span[0], span[1], stride(span[2])], np.int32)
        carry, sums, scores = self.segment(_indices(taken), numbers, seeds, chunk.carry, chunk.sums, data, bounds)
        return Chunk(carry, sums), scores


def stride(steps: int) -> int:
    """Steps in a point of the curve."""
    return max(1, -(-steps // POINTS))


class Lowered(NamedTuple):
    """A program traced and lowered, not yet compiled; its digest is the same in every process."""

    program: Any
    device: Any
    digest: str
    calls_back: bool  # into Python functions, which its text does not tell apart


class Traced(NamedTuple):
    """The programs of a group, lowered for `width` trials."""

    start: Lowered
    segment: Lowered
    width: int
    carry: list[Any]  # shapes of the arrays of C trials

    @property
    def digests(self) -> tuple[str, str]:
        """Of both programs."""
        return self.start.digest, self.segment.digest

    def compiled(self) -> tuple[Programs, int]:
        """The programs and how many were compiled for them: one that this process has already is not compiled again."""
        (start, new), (segment, newer) = _compiled(self.start), _compiled(self.segment)
        return Programs(start, segment, self.width, self.segment.digest), new + newer


@contextmanager
def _known_to_need_numbers(task: Task) -> Iterator[None]:
    """Say in words of the space what JAX says of tracers."""
    try:
        yield
    except TypeError as error:
        shapes = "Shapes must be 1D sequences of concrete values"
        if not isinstance(error, jax.errors.ConcretizationTypeError) and shapes not in str(error):
            raise
        raise ValueError(
            f"task {task.name!r} needs a number of the trial while its program is built, as a width or the rate of "
            "Flax's Dropout is; numbers from uniform, log_uniform, integers and values are not known then. "
            "Give that one as choice([...]), which makes a program for each"
        ) from error


def width_of(task: Task, group: Group, device: Any, seeds: int) -> int:
    """The width C of a group: a function of the model on a CPU, so that a trial's bits are, too.

    Optimizer states are left out of account, as the sweep's other optimizers decide how large a merged one is.
    """
    seed = jax.ShapeDtypeStruct((), jnp.uint32)
    if device.platform == "cpu":
        with _known_to_need_numbers(task):
            example = jax.eval_shape(lambda seed: _plain(start(task, group.plain(optimizers.sgd(0.0)), seed))[0], seed)
        return cpu_width(bytes_of(example))

    def temporary(width: int) -> int:
        memory = trace(task, group, width, device).segment.program.compile().memory_analysis()
        return int(memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes)

    limit = (device.memory_stats() or {}).get("bytes_limit", 8 << 30)
    return accelerator_width(temporary, limit, len(group.members) * seeds)


def trace(task: Task, group: Group, width: int, device: Any) -> Traced:
    """Trace and lower the programs of a group for `width` trials on one device.

    Raises:
        ValueError: the task needs to know a number that is data.
    """
    with _known_to_need_numbers(task):
        return _traced(task, group, width, device)


def _traced(task: Task, group: Group, width: int, device: Any) -> Traced:
    taken = [jax.ShapeDtypeStruct((), jnp.int32) for _ in group.alternatives]
    example = stacked(group.members[:1], width)
    numbers = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in example]
    seeds = jax.ShapeDtypeStruct((width,), jnp.uint32)
    data = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), task.data)
    layout: list[Any] = []

    def started(taken: Any, numbers: Any, seeds: Any) -> tuple[list[Array], dict[str, Array]]:
        def one(own: Any) -> tuple[list[Array], dict[str, Array]]:
            numbers, seed = own
            trial = group.rebuilt(taken, numbers)
            carry = start(task, trial, seed)
            leaves, whole = _plain(carry)
            layout[:] = [whole]
            return leaves, blank(task, trial, carry, task.data, 1).sums

        # one after the other on a CPU: the vmapped random draws compile several times longer than the others
        # and are drawn in a moment either way
        if device.platform == "cpu":
            return jax.lax.map(one, (numbers, seeds))
        return jax.vmap(one)((numbers, seeds))

    def segment(taken: Any, numbers: Any, seeds: Any, carry: Any, sums: Any, data: Any, bounds: Any) -> Any:
        def one(numbers: Any, seed: Any, carry: Any, sums: Any) -> Any:
            trial = group.rebuilt(taken, numbers)
            carry, curve = advance(task, trial, layout[0](carry), Curve(sums, bounds[2]), data, seed, bounds[:2])
            return _plain(carry)[0], curve.sums, _scores(task, task.evaluate(trial, carry, data))

        return jax.vmap(one)(numbers, seeds, carry, sums)

    placed = jax.sharding.SingleDeviceSharding(device)
    # unused arguments are kept: programs of equal text then take equal arguments, so that they may be shared
    first = jax.jit(started, in_shardings=placed, out_shardings=placed, keep_unused=True).lower(taken, numbers, seeds)
    carry, sums = first.out_info
    carry = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in carry]
    sums = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in sums.items()}
    onward = jax.jit(segment, in_shardings=placed, out_shardings=placed, keep_unused=True, donate_argnums=(3, 4))
    second = onward.lower(taken, numbers, seeds, carry, sums, data, jax.ShapeDtypeStruct((3,), jnp.int32))
    return Traced(_lowered(first, device), _lowered(second, device), width, carry)


def _plain(carry: Any) -> tuple[list[Array], Any]:
    """The arrays of a carry, random keys as their numbers, and the function that puts them together again."""
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, carry))
    kinds = [jax.random.key_impl(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else None for x in leaves]

    def whole(arrays: Sequence[Array]) -> Any:
        keyed = [x if k is None else jax.random.wrap_key_data(x, impl=k) for x, k in zip(arrays, kinds, strict=True)]
        return jax.tree.unflatten(tree, keyed)

    plain = [x if k is None else jax.random.key_data(x) for x, k in zip(leaves, kinds, strict=True)]
    return plain, whole


def _scores(task: Task, found: dict[str, Any]) -> dict[str, Array]:
    """What `evaluate` gave, as float32 scalars.

    Raises:
        ValueError: a score is not a scalar, or the task's objective is not among them.
    """
    scores = {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}
    for name, value in scores.items():
        if value.shape != ():
            raise ValueError(f"evaluate of task {task.name!r} must give scalars, but {name!r} has shape {value.shape}")
    if task.objective not in scores:
        raise ValueError(f"task {task.name!r} is ranked by {unknown('score', task.objective, scores)}")
    return scores


def _indices(taken: Sequence[int]) -> list[np.ndarray]:
    return [np.asarray(i, np.int32) for i in taken]


_KEPT: OrderedDict[tuple[str, Any], Any] = OrderedDict()
_LOCKS: dict[tuple[str, Any], threading.Lock] = {}
_GUARD = threading.Lock()
_MOST = 128


def _lowered(program: Any, device: Any) -> Lowered:
    text = "\n".join([program.as_text(), str(program.in_tree), str(program.out_tree)])
    return Lowered(program, device, hashlib.sha256(text.encode()).hexdigest(), "callback" in text)


def _compiled(lowered: Lowered) -> tuple[Any, int]:
    """The executable of a lowered program and whether it had to be compiled: equal programs share one."""
    options = CPU_OPTIONS if lowered.device.platform == "cpu" else None
    if lowered.calls_back:
        return lowered.program.compile(compiler_options=options), 1
    key = (lowered.digest, lowered.device)
    with _GUARD:
        lock = _LOCKS.setdefault(key, threading.Lock())
    with lock:
        with _GUARD:
            kept = _KEPT.get(key)
            if kept is not None:
                _KEPT.move_to_end(key)
                return kept, 0
        executable = lowered.program.compile(compiler_options=options)
        with _GUARD:
            _KEPT[key] = executable
            while len(_KEPT) > _MOST:
                _LOCKS.pop(_KEPT.popitem(last=False)[0], None)
        return executable, 1
