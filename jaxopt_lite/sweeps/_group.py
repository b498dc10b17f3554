"""Which trials share a program, and how they are cut into chunks of one size."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.optimizers import Transform
from jaxopt_lite.sweeps._merge import Either

Array = jax.Array


class Fixed(float):
    """A float that is structure: one written as it is in a space, where the model may need it while it is built."""


class Member(NamedTuple):
    """A trial as numbers: which alternative it takes in each merged place, and its numbers in order."""

    trial: int
    taken: tuple[int, ...]
    numbers: tuple[Any, ...]


class Group(NamedTuple):
    """Trials of one structure: everything but their numbers is equal, or, of merged optimizers, a matter of an index.

    `pattern` holds the leaves of the trial with merged optimizers as leaves: a Transform marks such a place.
    `alternatives` are the different structures of optimizer in each merged place, as examples.
    """

    tree: Any
    pattern: tuple[Any, ...]
    alternatives: tuple[tuple[Transform, ...], ...]
    members: tuple[Member, ...]

    @property
    def structures(self) -> int:
        """How many structures without merging."""
        return len({member.taken for member in self.members})

    def rebuilt(self, taken: Sequence[Array], numbers: Sequence[Any]) -> Any:
        """The trial of these numbers, for the inside of a program."""
        rest, places, out = iter(numbers), iter(zip(taken, self.alternatives, strict=True)), []
        for leaf in self.pattern:
            if isinstance(leaf, Transform):
                index, known = next(places)
                out.append(Either(index, [_with_numbers(tx, rest) for tx in known]))
            else:
                out.append(next(rest) if is_number(leaf) else leaf)
        return jax.tree.unflatten(self.tree, out)

    def plain(self, transform: Any) -> Any:
        """An example trial with `transform` in every merged place."""
        leaves = [
            transform if isinstance(x, Transform) else jnp.asarray(x) if is_number(x) else x for x in self.pattern
        ]
        return jax.tree.unflatten(self.tree, leaves)


def is_number(leaf: Any) -> bool:
    """Whether a leaf is data; whole Python numbers, truth values, texts and functions are structure."""
    return isinstance(leaf, float | np.ndarray | np.generic | jax.Array) and not isinstance(leaf, Fixed)


def grouped(trials: Sequence[Any], merge: bool = True) -> list[Group]:
    """The groups of some trials, in the order of their first trials.

    Args:
        trials: pytrees.
        merge: whether optimizers of different structure become alternatives of one program.

    Raises:
        TypeError: a leaf that is neither a number nor hashable.
    """
    found: dict[
        Hashable, tuple[Any, tuple[Any, ...], list[list[Transform]], list[tuple[int, list[Transform], list[Any]]]]
    ] = {}
    for nth, trial in enumerate(trials):
        leaves, tree = jax.tree.flatten(trial, is_leaf=(_is_transform if merge else None))
        key = (tree, tuple(_kind(leaf) for leaf in leaves))
        _, _, known, rows = found.setdefault(key, (tree, tuple(leaves), [[] for x in leaves if _is_transform(x)], []))
        own = [leaf for leaf in leaves if _is_transform(leaf)]
        for tx, alike in zip(own, known, strict=True):
            if all(_shape(tx) != _shape(other) for other in alike):
                alike.append(tx)
        rows.append((nth, own, [leaf for leaf in leaves if is_number(leaf)]))
    return [_group(*parts) for parts in found.values()]


def _group(tree: Any, pattern: tuple[Any, ...], known: list[list[Transform]], rows: list[Any]) -> Group:
    alternatives = tuple(tuple(alike) for alike in known)
    members = []
    for nth, own, own_numbers in rows:
        taken = tuple(
            next(i for i, other in enumerate(alike) if _shape(other) == _shape(tx))
            for tx, alike in zip(own, alternatives, strict=True)
        )
        members.append(Member(nth, taken, tuple(_numbers(pattern, alternatives, taken, own, own_numbers))))
    return Group(tree, pattern, alternatives, tuple(members))


def _numbers(pattern: Any, alternatives: Any, taken: Any, own: list[Transform], numbers: list[Any]) -> Iterator[Any]:
    """The numbers in the order in which `rebuilt` asks for them; alternatives not taken give those of their example."""
    rest, places = iter(numbers), iter(zip(taken, alternatives, own, strict=True))
    for leaf in pattern:
        if isinstance(leaf, Transform):
            index, known, tx = next(places)
            for i, other in enumerate(known):
                yield from (x for x in jax.tree.leaves(tx if i == index else other) if is_number(x))
        elif is_number(leaf):
            yield next(rest)


def _with_numbers(tx: Transform, numbers: Iterator[Any]) -> Transform:
    return jax.tree.map(lambda leaf: next(numbers) if is_number(leaf) else leaf, tx)


def _is_transform(leaf: Any) -> bool:
    return isinstance(leaf, Transform)


def _kind(leaf: Any) -> Hashable:
    """What of a leaf is structure."""
    if _is_transform(leaf):
        return Transform
    if is_number(leaf):
        array = np.asarray(leaf)
        return array.shape, "float" if array.dtype.kind == "f" else array.dtype.str
    try:
        hash(leaf)
    except TypeError:
        raise TypeError(
            f"a trial holds {leaf!r}, which is neither a number nor hashable, so its structure cannot be compared"
        ) from None
    return type(leaf), leaf


def _shape(tx: Transform) -> Hashable:
    leaves, tree = jax.tree.flatten(tx)
    return tree, tuple(_kind(leaf) for leaf in leaves)


def stacked(members: Sequence[Member], size: int) -> list[np.ndarray]:
    """The numbers of some members as columns of `size` rows, the last member repeated to fill them."""
    rows = [member.numbers for member in members] + [members[-1].numbers] * (size - len(members))
    columns = [np.asarray(column) for column in zip(*rows, strict=True)]
    return [c.astype(np.float32) if c.dtype == np.float64 else c for c in columns]
