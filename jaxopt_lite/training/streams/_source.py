"""Examples by index, whatever gives them: memory-mapped arrays, a data set, any object with a length and an index."""

import mmap
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

_FORMS = (
    "give a pair of arrays (x, y), a dict of two arrays, or an object with len(source) whose source[i] is the pair "
    "(x, y) of example i or a dict of the two"
)
_THREADS = 8
_READERS = ThreadPoolExecutor(_THREADS)
Pair = tuple[Any, Any]


class Source:
    """The examples of a source, as arrays of the dtypes that JAX has for them.

    Attributes:
        examples: how many there are.
        shapes: the `jax.ShapeDtypeStruct`s of the x and the y of one example.
    """

    def __init__(self, given: Any, keys: tuple[str, str], shuffled: bool) -> None:
        """Examples of a source.

        Args:
            given: what the user gave as `source`.
            keys: the entries of x and y, where examples or arrays are in a dict.
            shuffled: whether the examples are read in random order.

        Raises:
            TypeError: it is not a source.
            ValueError: it has no examples, or they are not numbers.
        """
        given = _entries(given, keys) if isinstance(given, Mapping) else given
        columns = _columns(given)
        self._reader: _Reader = _Items(given, keys) if columns is None else _Columns(columns, shuffled)
        self.examples = self._reader.examples
        if not self.examples:
            raise ValueError("source has no examples")
        first = [np.asarray(a) for a in self._reader.read(np.array([0]))]
        self._dtypes = [a.dtype for a in first]
        for name, dtype in zip("xy", self._dtypes, strict=True):
            if not (jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)):
                raise ValueError(f"{name} of source must be numbers, got {dtype}")
        native = [jax.dtypes.canonicalize_dtype(dtype.newbyteorder("=")) for dtype in self._dtypes]
        self.shapes = tuple(jax.ShapeDtypeStruct(a.shape[1:], d) for a, d in zip(first, native, strict=True))

    @property
    def labels(self) -> np.ndarray | None:
        """The y of all examples, if the source is two arrays of NumPy."""
        return self._reader.labels

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """The x and the y of some examples, with the examples along the first axis.

        Raises:
            ValueError: examples differ in shape, or in their kind of numbers.
        """
        found = [np.asarray(a) for a in self._reader.read(rows)]
        for name, array, shape, dtype in zip("xy", found, self.shapes, self._dtypes, strict=True):
            if array.shape != (len(rows), *shape.shape) or not np.can_cast(array.dtype, dtype, "same_kind"):
                raise ValueError(
                    f"{name} of {len(rows)} examples of source has the shape {array.shape} and dtype {array.dtype}, "
                    f"and {name} of example 0 has {shape.shape} and {dtype}: all examples need one shape and dtype"
                )
        return tuple(a.astype(shape.dtype, copy=False) for a, shape in zip(found, self.shapes, strict=True))


class _Reader(Protocol):
    """Gives the x and the y of some rows."""

    examples: int

    @property
    def labels(self) -> np.ndarray | None: ...

    def read(self, rows: np.ndarray) -> Pair: ...


class _Columns:
    """Examples in two arrays."""

    def __init__(self, arrays: Pair, shuffled: bool) -> None:
        x, y = arrays
        if len(x) != len(y):
            raise ValueError(f"x and y of source need equal lengths, got {len(x)} and {len(y)}")
        self.examples = len(x)
        self._arrays, self._shuffled = arrays, shuffled
        self._advise()

    @property
    def labels(self) -> np.ndarray | None:
        return self._arrays[1] if isinstance(self._arrays[1], np.ndarray) else None

    def read(self, rows: np.ndarray) -> Pair:
        x, y = (_rows(a, rows) for a in self._arrays)
        return x, y

    def _advise(self) -> None:
        """Tell the system not to read around the pages of rows in random order."""
        for array in self._arrays:
            mapped = _root(array)
            if mapped is not None and hasattr(mmap, "MADV_RANDOM"):
                mapped.base.madvise(mmap.MADV_RANDOM if self._shuffled else mmap.MADV_SEQUENTIAL)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_arrays": tuple(map(_as_file, self._arrays))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_arrays": tuple(map(_opened, state["_arrays"]))}
        self._advise()


class _Items:
    """Examples of an object that is indexed, which one thread does at a time."""

    labels = None

    def __init__(self, source: Any, keys: tuple[str, str]) -> None:
        try:
            self.examples = len(source)
        except TypeError:
            raise TypeError(f"source is a {type(source).__name__}, which has no length: {_FORMS}") from None
        if not hasattr(source, "__getitem__"):
            raise TypeError(f"source is a {type(source).__name__}, which has no index: {_FORMS}")
        self._source, self._keys = source, keys
        self._lock = threading.Lock()
        self._takes_arrays = bool(self.examples) and not hasattr(source, "__getitems__") and self._agrees()

    def read(self, rows: np.ndarray) -> Pair:
        with self._lock:
            if self._takes_arrays:
                return self._pair(self._source[rows])
            if hasattr(self._source, "__getitems__"):
                found = self._source.__getitems__(rows.tolist())
            else:
                found = [self._source[i] for i in rows.tolist()]
        pairs = [self._pair(example) for example in found]
        x, y = (self._stacked(name, rows, [p[i] for p in pairs]) for i, name in enumerate("xy"))
        return x, y

    def _pair(self, example: Any) -> Pair:
        if isinstance(example, Mapping) or getattr(getattr(example, "dtype", None), "names", None):
            return _entries(example, self._keys)
        if isinstance(example, tuple | list) and len(example) == 2:
            return example[0], example[1]
        raise TypeError(f"source[0] is a {type(example).__name__}, not a pair (x, y): {_FORMS}")

    def _agrees(self) -> bool:
        """Whether the source takes an array of indices, and gives the examples that it gives for each of them."""
        ends = np.array([0, self.examples - 1])
        singles = [self._pair(self._source[i]) for i in ends.tolist()]
        try:
            pair = self._pair(self._source[ends])
            return all(
                np.array_equal(np.asarray(array), np.stack([np.asarray(single[k]) for single in singles]))
                for k, array in enumerate(pair)
            )
        except Exception:  # whatever a source does with an index that it does not know
            return False

    def _stacked(self, name: str, rows: np.ndarray, arrays: Sequence[Any]) -> np.ndarray:
        shapes = [np.shape(a) for a in arrays]
        for row, shape in zip(rows.tolist(), shapes, strict=True):
            if shape != shapes[0]:
                raise ValueError(
                    f"{name} of example {row} of source has the shape {shape}, that of example {rows[0]} the shape "
                    f"{shapes[0]}: all examples need one shape; pad or cut them in the source"
                )
        return np.stack([np.asarray(a) for a in arrays])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_source": _as_file(self._source), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_source": _opened(state["_source"]), "_lock": threading.Lock()}


def _columns(given: Any) -> Pair | None:
    """The arrays of x and y, if those are what was given."""
    if isinstance(given, tuple | list) and len(given) == 2 and all(getattr(a, "shape", ()) for a in given):
        x, y = (a.to_numpy() if hasattr(a, "iloc") else a for a in given)  # pandas would take rows for labels
        return x, y
    return None


def _entries(example: Any, keys: tuple[str, str]) -> Pair:
    names = list(example) if isinstance(example, Mapping) else list(example.dtype.names)
    if not set(keys) <= set(names):
        raise ValueError(
            f"source has the entries {', '.join(map(repr, names))}, and keys={keys!r} names those of x and y: "
            "give keys=(x, y) with the names of two of them"
        )
    return example[keys[0]], example[keys[1]]


def _rows(array: Any, rows: np.ndarray) -> Any:
    if _root(array) is not None:
        return _mapped_rows(array, rows)
    if isinstance(array, np.ndarray):
        return array[rows]
    ascending, places = np.unique(rows, return_inverse=True)  # h5py takes no others
    return np.asarray(array[ascending])[places]


def _mapped_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a memory-mapped array, read by several threads: a disk is several times faster if requests overlap."""
    found = np.empty((len(rows), *array.shape[1:]), array.dtype)
    size = -(-len(rows) // _THREADS)

    def read(first: int) -> None:
        part = slice(first, first + size)
        np.take(array, rows[part], axis=0, out=found[part], mode="clip")  # other modes copy `out`

    list(_READERS.map(read, range(0, len(rows), size)))
    return found


class _File(NamedTuple):
    """Where a memory-mapped array is, to map it again in another process."""

    path: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]


def _root(array: Any) -> Any:
    """The memory-mapped array of a whole file that an array is a part of; None if there is none."""
    while isinstance(array, np.ndarray) and not isinstance(array.base, mmap.mmap):
        array = array.base
    return array if isinstance(array, np.memmap) and array.filename is not None else None


def _as_file(array: Any) -> Any:
    """An array as it is, or its file if it is memory-mapped: pickle would write all of its entries.

    One that is mapped with `"c"` (copy on write) may differ from its file.
    """
    root = _root(array)
    if root is None or root.mode == "c" or not array.flags.c_contiguous:
        return array
    return _File(str(root.filename), array.dtype, root.offset + array.ctypes.data - root.ctypes.data, array.shape)


def _opened(array: Any) -> Any:
    if not isinstance(array, _File):
        return array
    return np.memmap(array.path, array.dtype, "r", array.offset, array.shape)
