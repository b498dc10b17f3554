"""Batches by seed and step, passed to a run in windows that are read while it trains on the window before."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.training._shown import shown

Array = jax.Array
MOST_WINDOWS = 4  # in memory at a time: in use, next on the device, its copy, and the one that is read
_BATCHES_A_RUN = 256  # at most in a window: beyond that a longer one saves no time


class StreamError(RuntimeError):
    """The batches of a stream cannot be read. It ends a sweep, and its runs can be resumed: they have not failed.

    Example:
        >>> from jaxopt_lite import training
        >>> issubclass(training.StreamError, RuntimeError)
        True
    """


class Stream(NamedTuple):
    """Batches by seed and step, for data that do not fit in memory. `training.streamed` makes one from a source.

    Since `batches` is a pure function, a run may be interrupted, resumed or moved to another process at any step.

    Attributes:
        batches: `batches(seed, begin, end)`, the batches of the steps `begin <= i < end` of a run, as a pytree of NumPy
            arrays with one row for each step. Several threads call it, and the arrays must not change afterwards.
        batch: the `jax.ShapeDtypeStruct`s of one batch.
        identity: what tells these data from others when a sweep is resumed.
        seeded: whether the batches depend on the seed. If not, all runs share them. Default: True.
        steps: how many steps there are batches for, or None for any number. Default: None.
        window_bytes: about the size of the windows in which batches are read. Up to four are in memory for each chunk
            that runs. A sweep is resumed with the size that it began with. Default: 32 MiB.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from jaxopt_lite import training
        >>> tokens = np.arange(1000) % 7  # or np.memmap("tokens.bin", np.uint16, mode="r")
        >>> def batches(seed, begin, end):  # 4 pieces of 9 tokens for each step
        ...     draw = [np.random.default_rng([seed, i]).integers(0, len(tokens) - 9, 4) for i in range(begin, end)]
        ...     return tokens[np.array(draw)[..., None] + np.arange(9)].astype(np.int32)
        >>> stream = training.Stream(batches, jax.ShapeDtypeStruct((4, 9), jnp.int32), "tokens")
        >>> def step(trial, w, batch, key):  # logits of the next token for each token
        ...     def loss(w):
        ...         chances = jax.nn.log_softmax(w[batch[:, :-1]])
        ...         return -jnp.take_along_axis(chances, batch[:, 1:, None], axis=2).mean()
        ...     value, gradient = jax.value_and_grad(loss)(w)
        ...     return w - trial["rate"] * gradient, {"loss": value}
        >>> init, evaluate = lambda trial, key: jnp.zeros((7, 7)), lambda trial, w, data: {"test_loss": -w[0, 1]}
        >>> task = training.Task(init, step, evaluate, data=(), stream=stream)
        >>> training.run(task, {"rate": 5.0}, steps=50).curve["loss"][-1][1] < 0.5
        True
    """

    batches: Callable[[int, int, int], Any]
    batch: Any
    identity: str
    seeded: bool = True
    steps: int | None = None
    window_bytes: int = 1 << 25

    def __repr__(self) -> str:
        return f"Stream({self.identity!r}, batch={shown(self.batch)}, seeded={self.seeded}, steps={self.steps})"


class Window(NamedTuple):
    """Batches of some steps of one or several seeds, of which a run uses those from its place on.

    Attributes:
        batches: a pytree of arrays with a row for each batch.
        shift: what is added to a step to give the row of its batch, one number for each run.
    """

    batches: Any
    shift: Any

    def at(self, step: Any) -> Any:
        """The batch of a step."""
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, step + self.shift, keepdims=False), self.batches)

    def of(self, run: int) -> "Window":
        """The window as one of its runs uses it."""
        return self._replace(shift=self.shift[run])


def batch_of(data: Any, step: Any) -> Any:
    """What a task's `step` is given: the data of the task, or of a window the batch of that step."""
    return data.at(step) if isinstance(data, Window) else data


def step_data(task: Any) -> Any:
    """Data of the shapes that a task's `step` is given."""
    return task.data if task.stream is None else task.stream.batch


class Feed:
    """The windows of a stream for chunks of some width.

    All windows have one size, so that one program takes them: the runs of a chunk that have one seed share its batches,
    and the more seeds a chunk has, the fewer steps are in a window.
    """

    def __init__(self, stream: Stream, width: int, device: Any = None) -> None:
        """Windows for a stream.

        Args:
            stream: gives the batches.
            width: number of runs in a chunk.
            device: where windows are put; default that of JAX.
        """
        self._stream, self._width, self._device = stream, width, device
        bytes_a_batch = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(stream.batch))
        batches = min(stream.window_bytes // max(1, bytes_a_batch), _BATCHES_A_RUN * width)
        self._batches = max(width, batches)

    def on(self, device: Any) -> "Feed":
        """The same for another device."""
        return Feed(self._stream, self._width, device)

    @property
    def shapes(self) -> Window:
        """The shapes of a window."""
        batches = jax.tree.map(lambda x: jax.ShapeDtypeStruct((self._batches, *x.shape), x.dtype), self._stream.batch)
        return Window(batches, jax.ShapeDtypeStruct((self._width,), jnp.int32))

    @cached_property
    def blank(self) -> Window:
        """A window without batches, for programs that make no step."""
        return jax.device_put(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), self.shapes), self._device)

    def windows(self, seeds: Sequence[int] | np.ndarray, begin: int, end: int) -> Iterator[tuple[int, int, Window]]:
        """The steps `begin <= i < end` cut into stretches, and the window of each.

        While the caller uses one, a thread reads the next.

        Args:
            seeds: the seed of each run.
            begin: first step.
            end: the step after the last.

        Raises:
            StreamError: the batches cannot be read.
        """
        different, places = np.unique(seeds if self._stream.seeded else np.zeros_like(seeds), return_inverse=True)
        length = self._batches // len(different)
        with ThreadPoolExecutor(1) as reader:

            def reading(first: int) -> tuple[int, int, Future[Any]]:
                last = min(first + length, end)
                return first, last, reader.submit(self._read, different, length, first, last)

            coming = reading(begin) if begin < end else None
            while coming is not None:
                first, last, read = coming
                try:
                    batches = read.result()
                except Exception as error:
                    what = f"steps {first} to {last - 1}: {type(error).__name__}: {error}"
                    raise StreamError(f"cannot read the batches of {what}") from error
                coming = reading(last) if last < end else None
                shift = (places.reshape(-1) * length - first).astype(np.int32)
                yield first, last, jax.device_put(Window(batches, shift), self._device)

    def _read(self, seeds: np.ndarray, length: int, begin: int, end: int) -> Any:
        """The batches of some steps, `length` rows for each seed."""
        found = [self._stream.batches(int(seed), begin, end) for seed in seeds]

        def joined(batch: Any, *parts: Any) -> np.ndarray:
            arrays = [_checked(part, (end - begin, *batch.shape), batch.dtype) for part in parts]
            if len(arrays[0]) == self._batches:
                return arrays[0]
            rows = np.empty((self._batches, *batch.shape), batch.dtype)
            for i, array in enumerate(arrays):
                rows[i * length : i * length + len(array)] = array
            return rows

        return jax.tree.map(joined, self._stream.batch, *found)


def _checked(part: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    array = np.asarray(part)
    if array.shape != shape or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ValueError(
            f"the function batches of a stream returned an array of shape {array.shape} and dtype {array.dtype} for "
            f"{shape[0]} steps, whose batches need {shape} and {dtype}, as the stream's batch says"
        )
    return array.astype(dtype, copy=False)
