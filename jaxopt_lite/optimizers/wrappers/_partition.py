"""Different optimizers for different parameters, chosen by their names."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import optax

from jaxopt_lite.optimizers._transform import Init, Parts, Transform, build
from jaxopt_lite.optimizers._trees import map_gradients
from jaxopt_lite.optimizers.wrappers._average import Average
from jaxopt_lite.optimizers.wrappers._chain import Chain
from jaxopt_lite.optimizers.wrappers._checks import check_parts
from jaxopt_lite.optimizers.wrappers._clip import BY_NORM, WHOLE
from jaxopt_lite.optimizers.wrappers._compress import Compress
from jaxopt_lite.optimizers.wrappers._guard import Guard
from jaxopt_lite.optimizers.wrappers._names import leaves_with_paths, named_leaves, path_name
from jaxopt_lite.optimizers.wrappers._split_master import Master
from jaxopt_lite.optimizers.wrappers._stochastic_rounding import Rounding

KEEP_GRADIENTS = (Average, Compress, Guard, Master, Rounding)


class Partition(NamedTuple):
    """The rule of `partition_by_path`: the groups' patterns, in order; the state is the tuple of their states."""

    patterns: tuple[str, ...]
    name: str = "partition_by_path"

    def written(self, init: Init) -> str:
        """The call that builds it."""
        groups = zip(self.patterns, init.parts.values(), strict=True)
        return f"partition_by_path({{{', '.join(f'{pattern!r}: {tx!r}' for pattern, tx in groups)}}})"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> tuple:
        """The first state of each group, of the group's parameters."""
        groups = self._groups(params)
        return tuple(tx.init(_only(params, groups, i)) for i, tx in enumerate(parts.values()))

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, tuple]:
        """The updates of all groups in one tree."""
        check_parts("partition_by_path", state, len(parts))
        extra = dict(extra)
        whole = {WHOLE: extra.pop(WHOLE, grads)}
        tree = grads
        if params is not None:
            grads = _each_leaf_of_none(grads, params)
            params = map_gradients(lambda g, p: p, grads, params)
        groups = self._groups(grads)
        steps: dict[str, Any] = {}
        after = []
        for i, (update, inner) in enumerate(zip(parts.values(), state, strict=True)):
            members = None if params is None else _only(params, groups, i)
            more = extra | whole if _clips_whole(update) else extra
            updates, inner = update(_only(grads, groups, i), inner, members, **more)
            steps |= updates
            after.append(inner)
        treedef = jax.tree.structure(tree, is_leaf=_is_none)
        return jax.tree.unflatten(treedef, [steps.get(name) for name, _ in named_leaves(tree)]), tuple(after)

    def _groups(self, tree: Any) -> list[int]:
        """The number of the first pattern found in the path of each leaf; -1 for `None` if there is no pattern."""
        leaves = [(path_name(path), x) for path, x in leaves_with_paths(tree)]
        matches = [next((i for i, p in enumerate(self.patterns) if re.search(p, path)), -1) for path, _ in leaves]
        missing = [path for (path, x), group in zip(leaves, matches, strict=True) if group < 0 and x is not None]
        if missing:
            raise ValueError(
                f"partition_by_path: no pattern of {list(self.patterns)} matches {', '.join(map(repr, missing[:5]))}: "
                "add one for the rest, as '.*'"
            )
        return matches


def _clips_whole(update: Any) -> bool:
    """Whether the gradients that this transform is given reach a `clip_by_global_norm` unchanged.

    Only then does the transform get the gradients of all groups, as one more keyword argument. Optax's transforms may
    refuse an unknown keyword, and behind `accumulate` the clip has other gradients than these.
    """
    rule = getattr(update, "rule", None)
    if rule == BY_NORM:
        return True
    if isinstance(rule, Chain):
        return any(_clips_whole(part) for _, part in update.parts[:1])
    return isinstance(rule, (Partition, *KEEP_GRADIENTS)) and any(_clips_whole(part) for _, part in update.parts)


def _is_none(x: Any) -> bool:
    return x is None


def _each_leaf_of_none(grads: Any, params: Any) -> Any:
    """The gradients with `None` for each parameter below a `None`, as groups name every parameter."""
    return jax.tree.map(
        lambda g, p: jax.tree.map(lambda _: None, p) if g is None else g, grads, params, is_leaf=_is_none
    )


def _only(tree: Any, groups: list[int], group: int) -> dict[str, Any]:
    """The group's leaves by name: a plain dictionary, which every transform and checkpoint supports."""
    return {name: x for (name, x), g in zip(named_leaves(tree), groups, strict=True) if g == group}


def partition_by_path(groups: Mapping[str, optax.GradientTransformation]) -> Transform:
    """Another transform for each group of parameters, by name: `{"bias|norm": sgd(0.1), ".*": adamw(1e-3)}`.

    A parameter belongs to the first pattern that is found in its path. Each transform gets the parameters and gradients
    of its group as a dictionary from path to array. Where the gradients of a group reach a `clip_by_global_norm`
    unchanged, as in `chain(clip_by_global_norm(1.0), adam(1e-3))`, it clips by the norm of all groups together.

    Args:
        groups: a dictionary from regular expressions to transforms of this package or of optax. An expression is
            searched for (`re.search`) in paths like "encoder/layer_0/kernel". One that is in no path has no effect.

    Returns:
        A transform whose leaves are the settings of all groups; its state is the tuple of their states, in the order
        of `groups`, so that `settings` names them "0.learning_rate" and so on. Updates have the tree of the gradients.

    Raises:
        ValueError: `groups` is not a dictionary or empty, or a key is not a regular expression; from `init` and
            `update`, no pattern matches the path of a parameter, or the state is that of another transform.
        TypeError: a value is not a transform.

    Example:
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
            raise ValueError(f"partition_by_path: {pattern!r} is not a regular expression: {error}") from error
    return build(Partition(tuple(groups)), {}, {}, dict(enumerate(groups.values())))
