"""From a space to trials: random, quasi-random, or every point of the grid."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxopt_lite.sweeps._space import Choice, Distribution, label
from jaxopt_lite.training._trial import Fixed, is_plain

Path = tuple[str | int, ...]
Picks = dict[Path, Any]
Search = Literal["random", "quasi-random", "grid"]


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


def enumerate_trials(space: Any, trials: int | None = None, search: Search | None = None, seed: int = 0) -> list[Trial]:
    """The trials of a space.

    Args:
        space: a pytree with distributions at its leaves and choices in its structure.
        trials: how many; left out, every point of the grid is tried.
        search: `"grid"` (the default without `trials`), `"random"` (the default with it; a grid smaller than `trials`
            is enumerated), or `"quasi-random"`, scrambled Sobol points, which leave fewer gaps.
        seed: decides the draws.

    Raises:
        ValueError: a grid over a continuous distribution, fewer than one trial, or an unknown search.
    """
    if trials is not None and (isinstance(trials, bool) or not isinstance(trials, int | np.integer) or trials < 1):
        raise ValueError(f"trials must be a whole number of at least 1, got {trials!r}")
    search = search or ("grid" if trials is None else "random")
    if search not in ("grid", "random", "quasi-random"):
        raise ValueError(f"search must be 'random', 'quasi-random' or 'grid', got {search!r}")
    if search == "grid":
        continuous = [
            place for place in _places(space) if isinstance(place.leaf, Distribution) and place.leaf.grid() is None
        ]
        if continuous:
            raise ValueError(
                f"{continuous[0].leaf!r} at {_dotted(continuous[0].path)} is a continuous range: "
                "say how many trials to draw, or list numbers with values([...])"
            )
        picks = list(_grid(space, ()))[:trials]
    else:
        if trials is None:
            raise ValueError(f"search={search!r} needs to know how many trials to draw, as trials=100")
        picks = _drawn(space, trials, search, seed)
    return _named(space, picks)


def _places(space: Any, path: Path = ()) -> Iterator[_Place]:
    """Every leaf of a space, in all alternatives."""
    for here, leaf in _leaves(space, path):
        yield _Place(here, leaf)
        if isinstance(leaf, Choice):
            for i, alternative in enumerate(leaf.alternatives):
                yield from _places(alternative, (*here, i))


def _leaves(space: Any, path: Path) -> list[tuple[Path, Any]]:
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
    options = [list(_options(leaf, here)) for here, leaf in _leaves(space, path) if _varies(leaf)]
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
    varying = [place for place in _places(space) if _varies(place.leaf)]
    size = _grid_size(space)
    if size is not None and size <= trials:
        return list(_grid(space, ()))
    found: dict[tuple[Any, ...], Picks] = {}
    for point in itertools.islice(_points(len(varying), search, seed), 1000 * trials):
        picks = _picked(space, point, {place.path: i for i, place in enumerate(varying)})
        found.setdefault(tuple(sorted(picks.items(), key=str)), picks)  # no point twice
        if len(found) == trials:
            break
    return list(found.values())


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
    for here, leaf in _leaves(space, path):
        if isinstance(leaf, Choice):
            branch = int(point[dimension[here]] * len(leaf.alternatives))
            picks |= {here: branch, **_picked(leaf.alternatives[branch], point, dimension, (*here, branch))}
        elif isinstance(leaf, Distribution):
            picks[here] = leaf.quantile(point[dimension[here]])
    return picks


def _grid_size(space: Any, path: Path = ()) -> int | None:
    """Number of points of the grid, or None if it has a continuous range."""
    size = 1
    for here, leaf in _leaves(space, path):
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


def _named(space: Any, picks: list[Picks]) -> list[Trial]:
    """The trials of some picks, with columns named as briefly as differs."""
    varying = [place for place in _places(space) if _varies(place.leaf)]
    names = _names([place.path for place in varying])
    swept = set(names.values())
    for name in swept & {"seed", "status"}:
        raise ValueError(f"a space cannot have an entry called {name!r}: the table has a column of that name already")
    fixed = {
        (key,): label(value)
        for key, value in (space.items() if isinstance(space, dict) else ())
        if not _varies(value) and (callable(value) or hasattr(value, "name"))
    }
    trials = []
    for picked in picks:
        columns: dict[str, Any] = {str(path[0]): name for path, name in fixed.items()}
        value = _resolved(space, (), picked, partial(_column, names=names, columns=columns, swept=swept))
        trials.append(Trial(value, columns))
    order = list(dict.fromkeys([*(str(key) for key, *_ in fixed), *(names[p.path] for p in varying), "learning_rate"]))
    order = sorted(order, key=lambda name: name not in ("activation", "optimizer"))
    used = {name for trial in trials for name in trial.columns}
    return [Trial(t.value, {name: t.columns.get(name) for name in order if name in used}) for t in trials]


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


def _names(paths: list[Path]) -> dict[Path, str]:
    """A name for each place: what follows the last alternative, or all of its path where that is ambiguous."""
    brief = {path: _brief(path) for path in paths}
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
