"""From a space to trials: random, quasi-random, or every point of the grid."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from jaxopt_lite._names import nearest
from jaxopt_lite.sweeps.spaces._space import Choice, Distribution, label
from jaxopt_lite.training._trial import Fixed, is_plain

# Columns of the table beside the settings and the scores.
OTHER_COLUMNS = ("seed", "status", "step")
Path = tuple[str | int, ...]
Picks = dict[Path, Any]
Search = Literal["random", "quasi-random", "grid"]
# Combinations of alternatives that are enumerated before any trial is known.
MOST_STRUCTURES = 4096


class Trial(NamedTuple):
    """One point of a space.

    Attributes:
        value: the pytree that the task's functions receive.
        columns: its settings in the table, by name.
    """

    value: Any
    columns: dict[str, Any]


class _Place(NamedTuple):
    """A leaf of a space, and its path: keys of containers (strings) and numbers of alternatives (integers)."""

    path: Path
    leaf: Any


def check_trials(trials: Any) -> None:
    """Check a number of trials.

    Raises:
        ValueError: it is not a whole number of at least 1, or None.
    """
    if trials is not None and (isinstance(trials, bool) or not isinstance(trials, int | np.integer) or trials < 1):
        raise ValueError(f"trials must be a whole number of at least 1, got {trials!r}")


def points(space: Any, trials: int | None = None, search: Search | None = None, seed: int = 0) -> list[Picks]:
    """Different points of a space, which depend on the arguments alone. More trials add points at the end.

    Args:
        space: a pytree with distributions at its leaves and choices in its structure.
        trials: how many; left out, every point of the grid is tried.
        search: `"grid"` (the default without `trials`), `"random"` (the default with it; of a grid smaller than
            `trials` every point), or `"quasi-random"`, scrambled Sobol points, which leave fewer gaps.
        seed: decides the draws.

    Raises:
        ValueError: a grid over a continuous distribution, fewer than one trial, or an unknown search.
    """
    check_trials(trials)
    search = search or ("grid" if trials is None else "random")
    if search not in ("grid", "random", "quasi-random"):
        similar = nearest(search, (*get_args(Search), "tpe"))
        suggestion = f": did you mean {similar!r}?" if similar else ""
        raise ValueError(
            f"search must be 'grid', 'random', 'quasi-random', 'tpe', sweeps.optuna(...) or sweeps.population(...), "
            f"got {search!r}{suggestion}"
        )
    if search != "grid":
        if trials is None:
            raise ValueError(f"search={search!r} needs to know how many trials to draw, as trials=100")
        return _drawn(space, trials, search, seed)
    for place in places(space):
        if isinstance(place.leaf, Distribution) and place.leaf.grid() is None:
            raise ValueError(
                f"{place.leaf!r} at {_dotted(place.path)} is a continuous range: "
                "say how many trials to draw, or list numbers with values([...])"
            )
    return list(itertools.islice(_grid(space, ()), trials))


def structures(space: Any, most: int = MOST_STRUCTURES) -> list[Picks] | None:
    """A point for each combination of alternatives, or None if there are more than `most` of them."""
    found = list(itertools.islice(_combinations(space, ()), most + 1))
    return found if len(found) <= most else None


def _combinations(space: Any, path: Path) -> Iterator[Picks]:
    options = [list(_branches(leaf, here)) for here, leaf in leaves(space, path) if _varies(leaf)]
    for combination in itertools.product(*options):
        yield {k: v for picks in combination for k, v in picks.items()}


def _branches(leaf: Any, path: Path) -> Iterator[Picks]:
    if isinstance(leaf, Choice):
        for i, alternative in enumerate(leaf.alternatives):
            for picks in _combinations(alternative, (*path, i)):
                yield {path: i, **picks}
    else:
        yield {path: leaf.quantile(0.5)}


def places(space: Any, path: Path = ()) -> Iterator[_Place]:
    """Every leaf of a space, in all alternatives."""
    for here, leaf in leaves(space, path):
        yield _Place(here, leaf)
        if isinstance(leaf, Choice):
            for i, alternative in enumerate(leaf.alternatives):
                yield from places(alternative, (*here, i))


def leaves(space: Any, path: Path) -> list[tuple[Path, Any]]:
    keyed, _ = jax.tree_util.tree_flatten_with_path(space, is_leaf=_varies)
    return [((*path, *map(_key, keys)), leaf) for keys, leaf in keyed]


def _varies(leaf: Any) -> bool:
    return isinstance(leaf, Choice | Distribution)


def _key(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def _grid(space: Any, path: Path) -> Iterator[Picks]:
    options = [list(_options(leaf, here)) for here, leaf in leaves(space, path) if _varies(leaf)]
    for combination in itertools.product(*options):
        yield {k: v for picks in combination for k, v in picks.items()}


def _options(leaf: Any, path: Path) -> Iterator[Picks]:
    if isinstance(leaf, Choice):
        for i, alternative in enumerate(leaf.alternatives):
            for picks in _grid(alternative, (*path, i)):
                yield {path: i, **picks}
    else:
        for number in leaf.grid():
            yield {path: number}


def _drawn(space: Any, trials: int, search: Search, seed: int) -> list[Picks]:
    """Points of the unit cube, a dimension for each distribution and choice, turned into picks."""
    varying = [place for place in places(space) if _varies(place.leaf)]
    size = _grid_size(space)
    wanted = trials if size is None else min(trials, size)
    found: dict[tuple[Any, ...], Picks] = {}
    for point in itertools.islice(_points(len(varying), search, seed), 1000 * trials):
        picks = _picked(space, point, {place.path: i for i, place in enumerate(varying)})
        found.setdefault(key_of(picks), picks)  # no point twice
        if len(found) == wanted:
            return list(found.values())
    for picks in _grid(space, ()) if size is not None else ():  # points that are drawn very rarely
        if len(found) < wanted:
            found.setdefault(key_of(picks), picks)
    return list(found.values())


def key_of(picks: Picks) -> tuple[Any, ...]:
    """A point as a key that equals that of an equal point."""
    return tuple(sorted(picks.items(), key=str))


def _points(dimensions: int, search: Search, seed: int) -> Iterator[list[float]]:
    """An infinite sequence of points of the unit cube."""
    if search == "random":
        rng = np.random.default_rng(seed)
        while True:
            yield rng.random(max(1, dimensions)).tolist()
    from scipy.stats import qmc

    sobol = qmc.Sobol(max(1, dimensions), seed=seed)
    size = 64
    while True:
        yield from sobol.random(size).tolist()
        size = sobol.num_generated  # whole powers of two keep the points balanced


def _picked(space: Any, point: list[float], dimension: dict[Path, int], path: Path = ()) -> Picks:
    """What a point of the cube picks, in the places that its choices lead to."""
    picks: Picks = {}
    for here, leaf in leaves(space, path):
        if isinstance(leaf, Choice):
            branch = int(point[dimension[here]] * len(leaf.alternatives))
            picks |= {here: branch, **_picked(leaf.alternatives[branch], point, dimension, (*here, branch))}
        elif isinstance(leaf, Distribution):
            picks[here] = leaf.quantile(point[dimension[here]])
    return picks


def _grid_size(space: Any, path: Path = ()) -> int | None:
    """Number of points of the grid, or None if it has a continuous range."""
    size = 1
    for here, leaf in leaves(space, path):
        if isinstance(leaf, Choice):
            sizes = [_grid_size(alternative, (*here, i)) for i, alternative in enumerate(leaf.alternatives)]
            count = None if None in sizes else sum(s for s in sizes if s is not None)
        else:
            numbers = leaf.grid() if isinstance(leaf, Distribution) else [leaf]
            count = None if numbers is None else len(numbers)
        if count is None:
            return None
        size *= count
    return size


class Trials:
    """Makes the trials of a space from its points.

    Attributes:
        columns: names of the settings in the table, in their order.
    """

    def __init__(self, space: Any, examples: Iterable[Picks]) -> None:
        """`examples` are points that have, together, all the settings that any point has.

        Raises:
            ValueError: an entry of the space has the name of another column of the table.
        """
        self._space = space
        self._names = names_of(space)
        self._swept = set(self._names.values())
        for name in self._swept & set(OTHER_COLUMNS):
            raise ValueError(
                f"a space cannot have an entry called {name!r}: the table has a column of that name already"
            )
        self._fixed = {
            str(key): label(value)
            for key, value in (space.items() if isinstance(space, dict) else ())
            if not _varies(value) and (callable(value) or hasattr(value, "name"))
        }
        used = {name for picks in examples for name in self._made(picks).columns}
        order = dict.fromkeys([*self._fixed, *self._names.values(), "learning_rate"])
        self.columns = sorted((n for n in order if n in used), key=lambda n: n not in ("activation", "optimizer"))

    def __call__(self, picks: Picks) -> Trial:
        """The trial at a point."""
        trial = self._made(picks)
        return Trial(trial.value, {name: trial.columns.get(name) for name in self.columns})

    def _made(self, picks: Picks) -> Trial:
        columns: dict[str, Any] = dict(self._fixed)
        note = partial(_column, names=self._names, columns=columns, swept=self._swept)
        return Trial(_resolved(self._space, (), picks, note), columns)


def _resolved(space: Any, path: Path, picks: Picks, seen: Callable[[Path, Any], None]) -> Any:
    keyed, tree = jax.tree_util.tree_flatten_with_path(space, is_leaf=_varies)
    # plain values in a dict or list, or as an alternative, are static; the numbers inside an optimizer are data
    bare = {i for i, (keys, leaf) in enumerate(keyed) if type(leaf) is float and is_plain(keys)}
    out: list[Any] = []
    for i, (keys, leaf) in enumerate(keyed):
        here = (*path, *map(_key, keys))
        if isinstance(leaf, Choice):
            branch = picks[here]
            seen(here, leaf.labels[branch])
            alternative = leaf.alternatives[branch]
            labelled = leaf.named and jax.tree_util.all_leaves([alternative])  # the label replaces the thing
            out.append(_resolved(alternative, (*here, branch), picks, (lambda *_: None) if labelled else seen))
            continue
        number = picks[here] if isinstance(leaf, Distribution) else leaf
        seen(here, number)
        # a drawn integer is data, unlike a plain one, which may be a width or a depth
        drawn = isinstance(leaf, Distribution)
        out.append(np.int32(number) if drawn and isinstance(number, int) else Fixed(number) if i in bare else number)
    return jax.tree.unflatten(tree, out)


def _column(path: Path, value: Any, names: dict[Path, str], columns: dict[str, Any], swept: set[str]) -> None:
    """Note the value under its column: that of its place, or of its like-named places in other alternatives."""
    name = names.get(path) or _brief(path)
    if isinstance(value, jax.Array) and value.ndim == 0 and not isinstance(value, jax.core.Tracer):
        value = value.item()
    printable = isinstance(value, str | int | float | np.generic) and not isinstance(value, bool)
    if printable and (path in names or name in swept or name == "learning_rate"):
        columns[name] = value


def names_of(space: Any) -> dict[Path, str]:
    """A name for each place of a space that varies: what follows the last alternative, or all of its path.

    Like-named places in different alternatives share a column. The whole path is for names that are ambiguous.
    """
    brief = {place.path: _brief(place.path) for place in places(space) if _varies(place.leaf)}
    ways: dict[str, set[str]] = {}
    for path, name in brief.items():
        ways.setdefault(name, set()).add(_dotted(path))
    return {path: name if len(ways[name]) == 1 else _dotted(path) for path, name in brief.items()}


def _brief(path: Path) -> str:
    keys = [key for key in path if isinstance(key, str)]
    last = max((i for i, key in enumerate(path) if isinstance(key, int)), default=-1)
    tail = [str(key) for key in path[last + 1 :]]
    way = tail if last >= 0 and tail else keys[1:] or keys
    # the place in a chain is omitted where the name alone is unique
    return ".".join([key for key in way if not key.isdecimal()] or way) or "choice"


def _dotted(path: Path) -> str:
    return ".".join(key for key in path if isinstance(key, str)) or "the space"
