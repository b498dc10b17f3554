"""Which trials share a program, and the numbers in which they differ."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.optimizers import Transform
from jaxopt_lite.sweeps.programs._merge import Either
from jaxopt_lite.training._trial import is_key, is_number

Array = jax.Array


class Member(NamedTuple):
    """A trial as numbers.

    Attributes:
        branches: which alternative it takes in each place of a merged optimizer.
        numbers: its numbers, in the order of `Group.rebuilt`.
    """

    branches: tuple[int, ...]
    numbers: tuple[Any, ...]


class Group(NamedTuple):
    """Trials of one structure: equal but for their numbers and, with merging, the choice among some optimizers.

    Attributes:
        tree: the tree structure of a trial in which merged optimizers are leaves.
        pattern: the leaves of the first trial; a Transform marks the place of a merged optimizer.
        alternatives: for each such place one example of each structure of optimizer.
        examples: trials that have, together, all the alternatives.
    """

    tree: Any
    pattern: tuple[Any, ...]
    alternatives: tuple[tuple[Transform, ...], ...]
    examples: tuple[Member, ...]

    @property
    def structures(self) -> int:
        """Number of structures without merging."""
        return len({member.branches for member in self.examples})

    def signature(self, width: int) -> list[jax.ShapeDtypeStruct]:
        """Shapes and dtypes of `stacked(members, width)`; Python floats are weakly typed, as JAX has them."""
        columns = stacked(self.examples[:1], width)
        weak = [getattr(x, "weak_type", type(x) is float) for x in self.examples[0].numbers]
        return [jax.ShapeDtypeStruct(c.shape, c.dtype, weak_type=bool(w)) for c, w in zip(columns, weak, strict=True)]

    def rebuilt(self, branches: Sequence[Array], numbers: Sequence[Any]) -> Any:
        """The trial of these numbers, for the inside of a program."""
        rest, places, out = iter(numbers), iter(zip(branches, self.alternatives, strict=True)), []
        for leaf in self.pattern:
            if isinstance(leaf, Transform):
                index, transforms = next(places)
                out.append(Either(index, [_with_numbers(tx, rest) for tx in transforms]))
            else:
                out.append(_as_leaf(leaf, next(rest)) if is_number(leaf) else leaf)
        return jax.tree.unflatten(self.tree, out)

    def example(self, transform: Any) -> Any:
        """The first trial with `transform` in every place of a merged optimizer."""
        leaves = [
            transform if isinstance(x, Transform) else jnp.asarray(x) if is_number(x) else x for x in self.pattern
        ]
        return jax.tree.unflatten(self.tree, leaves)


class Groups:
    """The groups of a sweep, found from examples of all structures; a trial is then assigned to one of them."""

    def __init__(self, examples: Iterable[Any], merge: bool = True) -> None:
        """Group some trials.

        Args:
            examples: trials of every structure and, with merging, every optimizer that will be assigned.
            merge: whether optimizers of different structure become alternatives of one program.

        Raises:
            TypeError: a leaf is neither a number nor hashable.
        """
        self._merge = merge
        self._index: dict[Hashable, int] = {}
        parts: list[tuple[Any, tuple[Any, ...], list[list[Any]]]] = []
        for trial in examples:
            key, leaves, tree = self._key(trial)
            if key not in self._index:
                self._index[key] = len(parts)
                parts.append((tree, tuple(leaves), []))
            parts[self._index[key]][2].append(leaves)
        self._known = [_alternatives(pattern, rows) for _, pattern, rows in parts]
        self.groups = [
            Group(
                tree,
                pattern,
                tuple(tuple(examples.values()) for examples in known),
                tuple(_member(leaves, known) for leaves in rows),
            )
            for (tree, pattern, rows), known in zip(parts, self._known, strict=True)
        ]

    def assign(self, trial: Any) -> tuple[int, Member]:
        """The number of a trial's group, and its numbers in it.

        Raises:
            KeyError: no example has its structure.
        """
        key, leaves, _ = self._key(trial)
        nth = self._index[key]
        return nth, _member(leaves, self._known[nth])

    def _key(self, trial: Any) -> tuple[Hashable, list[Any], Any]:
        leaves, tree = jax.tree.flatten(trial, is_leaf=(_is_transform if self._merge else None))
        return (tree, tuple(_static_part(leaf) for leaf in leaves)), leaves, tree


def _alternatives(pattern: tuple[Any, ...], rows: list[list[Any]]) -> list[dict[Hashable, Transform]]:
    """For each place of a merged optimizer one example by structure, in the order in which they come."""
    places = [i for i, leaf in enumerate(pattern) if _is_transform(leaf)]
    known: list[dict[Hashable, Transform]] = [{} for _ in places]
    for leaves in rows:
        for place, examples in zip(places, known, strict=True):
            examples.setdefault(_structure(leaves[place]), leaves[place])
    return known


def _member(leaves: list[Any], known: list[dict[Hashable, Transform]]) -> Member:
    transforms = [leaf for leaf in leaves if _is_transform(leaf)]
    branches = [list(found).index(_structure(tx)) for tx, found in zip(transforms, known, strict=True)]
    numbers = _numbers(leaves, [list(examples.values()) for examples in known], branches)
    return Member(tuple(branches), tuple(numbers))


def _numbers(leaves: list[Any], alternatives: list[list[Transform]], branches: list[int]) -> Iterator[Any]:
    """The numbers of a trial in the order of `Group.rebuilt`; alternatives it does not take give their example's."""
    places = iter(zip(alternatives, branches, strict=True))
    for leaf in leaves:
        if _is_transform(leaf):
            transforms, index = next(places)
            for i, other in enumerate(transforms):
                yield from (x for x in jax.tree.leaves(leaf if i == index else other) if is_number(x))
        elif is_number(leaf):
            yield leaf


def _with_numbers(tx: Transform, numbers: Iterator[Any]) -> Transform:
    return jax.tree.map(lambda leaf: _as_leaf(leaf, next(numbers)) if is_number(leaf) else leaf, tx)


def _as_leaf(example: Any, number: Any) -> Any:
    return jax.random.wrap_key_data(number, impl=jax.random.key_impl(example)) if is_key(example) else number


def _is_transform(leaf: Any) -> bool:
    return isinstance(leaf, Transform)


def _static_part(leaf: Any) -> Hashable:
    """What of a leaf is part of the program: shape and dtype of a number, all of another leaf."""
    if _is_transform(leaf):
        return Transform
    if is_key(leaf):
        return leaf.shape, str(jax.random.key_impl(leaf))
    if is_number(leaf):
        return np.shape(leaf), _dtype(leaf), bool(getattr(leaf, "weak_type", type(leaf) is float))
    try:
        hash(leaf)
    except TypeError:
        raise TypeError(
            f"a trial holds {leaf!r}, which is neither a number nor hashable, so its structure cannot be compared"
        ) from None
    return type(leaf), leaf


def _dtype(leaf: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype)


def _structure(tx: Transform) -> Hashable:
    leaves, tree = jax.tree.flatten(tx)
    return tree, tuple(_static_part(leaf) for leaf in leaves)


def stacked(members: Sequence[Member], size: int) -> list[np.ndarray]:
    """The numbers of some members as columns of `size` rows, the last member repeated to fill them.

    Random keys are given by their data, and dtypes are those of JAX: float64 stays only in x64 mode.
    """
    rows = [member.numbers for member in members] + [members[-1].numbers] * (size - len(members))
    return [_column(column) for column in zip(*rows, strict=True)]


def _column(numbers: tuple[Any, ...]) -> np.ndarray:
    if all(type(x) is float for x in numbers):
        array = np.asarray(numbers)
    else:
        array = np.stack([np.asarray(jax.random.key_data(x) if is_key(x) else x) for x in numbers])
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)
