"""Different optimizers for different parameters, chosen by their names."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax.tree_util import GetAttrKey

from jaxopt_lite.optimizers._transform import Init, Parts, Transform, build


class Partition(NamedTuple):
    """The rule of `partition_by_path`: the groups' patterns, in order; the state is the tuple of their states."""

    patterns: tuple[str, ...]
    name: str = "partition_by_path"

    def written(self, init: Init) -> str:
        """The call that builds it."""
        groups = zip(self.patterns, init.parts.values(), strict=True)
        return f"partition_by_path({{{', '.join(f'{pattern!r}: {tx!r}' for pattern, tx in groups)}}})"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> tuple:
        """Every group's first state, of its own parameters."""
        groups = self._groups(params)
        return tuple(tx.init(_only(params, groups, i)) for i, tx in enumerate(parts.values()))

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, tuple]:
        """Each group's updates where its parameters stand."""
        groups = self._groups(grads)
        steps: dict[str, Any] = {}
        after = []
        extra = {**extra, "whole_updates": extra.get("whole_updates", grads)}
        for i, (update, inner) in enumerate(zip(parts.values(), state, strict=True)):
            own = None if params is None else _only(params, groups, i)
            updates, inner = update(_only(grads, groups, i), inner, own, **extra)
            steps |= updates
            after.append(inner)
        return jax.tree_util.tree_map_with_path(lambda path, _: steps[path_name(path)], grads), tuple(after)

    def _groups(self, tree: Any) -> list[int]:
        """The number of the first pattern found in each leaf's path."""
        paths = [path_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
        found = [next((i for i, p in enumerate(self.patterns) if re.search(p, path)), -1) for path in paths]
        missing = [path for path, group in zip(paths, found, strict=True) if group < 0]
        if missing:
            raise ValueError(
                f"partition_by_path: no pattern of {list(self.patterns)} matches {', '.join(map(repr, missing[:5]))}: "
                "add one for the rest, as '.*'"
            )
        return found


def path_name(path: tuple) -> str:
    """A leaf's path as "layer/kernel"; the inside of an NNX variable has no name of its own."""
    if path and isinstance(path[-1], GetAttrKey) and path[-1].name in ("value", "raw_value"):
        path = path[:-1]
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def _only(tree: Any, groups: list[int], group: int) -> dict[str, Any]:
    """The group's leaves by path: a plain dictionary, which every transform and every module system can hold."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {path_name(path): x for (path, x), g in zip(leaves, groups, strict=True) if g == group}


def partition_by_path(groups: Mapping[str, Any]) -> Transform:
    """Another transform for each group of parameters, by name: `{"bias|norm": sgd(0.1), ".*": adamw(1e-3)}`.

    The keys are regular expressions, searched in each parameter's path ("encoder/layer_0/kernel"); the first that
    matches decides. The values are transforms of ours or of optax; each sees its group as a dictionary from path to
    array. `clip_by_global_norm` at the beginning of a group
    takes the norm of all groups together.

    Raises `ValueError` for a pattern that is none, and at `init` for a parameter that no pattern matches.

    >>> tx = partition_by_path({"bias": sgd(1.0), ".*": sgd(0.1)})
    >>> params = {"bias": jnp.zeros(1), "kernel": jnp.zeros(1)}
    >>> updates, _ = tx.update({"bias": jnp.ones(1), "kernel": jnp.ones(1)}, tx.init(params))
    >>> float(updates["bias"][0]), round(float(updates["kernel"][0]), 3)
    (-1.0, -0.1)
    """
    if not isinstance(groups, Mapping) or not groups:
        raise ValueError(f"partition_by_path was given {groups!r}: give a dictionary of patterns and transforms")
    for pattern in groups:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(f"partition_by_path: {pattern!r} is no regular expression: {error}") from error
    return build(Partition(tuple(groups)), {}, {}, dict(enumerate(groups.values())))
