"""States that continue with the moments of another one, of optax or of this package."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._settings import with_settings
from jaxopt_lite.optimizers._transform import State
from jaxopt_lite.optimizers.wrappers._compress import CompressState, decompressed, recompressed
from jaxopt_lite.optimizers.wrappers._lift import LiftedState
from jaxopt_lite.optimizers.wrappers._names import named_leaves


def from_optax(tx: Any, optax_state: Any, params: Any) -> Any:
    """The state of `tx` that continues from the state of an optax optimizer.

    Moments are found by the names that optax gives them (`mu`, `nu`, `trace`, ...), with the count beside them. Groups
    of `partition_by_path` take their part of them, and `compress` codes them. Settings are those of `tx`, except
    that a number of `inject_hyperparams` in the optax state becomes the setting of that name of the rule in `tx`.

    Args:
        tx: a transform of this package. One of `lift` takes the state of its optax factory as it is.
        optax_state: the state of an optax transformation, in which `MultiSteps`, `masked` and the like may be outside.
        params: the parameters that the state belongs to.

    Returns:
        A state of `tx`, in copies, so that the optax state may be donated.

    Raises:
        ValueError: the optax state lacks a moment that `tx` keeps, or has it in another shape; or several rules in
            `tx` have a setting that `inject_hyperparams` keeps in the optax state.

    Example:
        >>> params = jnp.ones(3)
        >>> old = optax.adam(0.1)
        >>> _, old_state = old.update(params, old.init(params), params)
        >>> state = from_optax(adam(0.1), old_state, params)
        >>> int(state.count), bool(jnp.allclose(state.moments["mu"], 0.1))
        (1, True)
    """
    start = tx.init(params)
    if isinstance(start, LiftedState):
        if _structure(start.inner) != _structure(optax_state):
            raise ValueError(
                f"from_optax: {tx.name} needs the state {jax.tree.structure(start.inner)}, "
                f"and was given {jax.tree.structure(optax_state)}"
            )
        return start._replace(inner=jax.tree.map(_as, start.inner, optax_state))
    return _with_injected(_carried(start, optax_state, _strict(tx.name)), optax_state)


def swap(tx: Any, state: Any, params: Any) -> Any:
    """The state of `tx` that continues with the moments of another optimizer.

    Each rule inside `tx` takes the moments that it keeps from those of the same name, Lion's `mu` from Adam's, say. If
    all are found the count continues too; otherwise moments and count of this rule are those of `init`, as the bias
    correction of a new mean must count from its start. The same holds inside `compress` and in the groups of
    `partition_by_path`. Counters of wrappers are those of `init`.

    Args:
        tx: the transform to continue with.
        state: the state of a transform of this package or of optax.
        params: the parameters that the state belongs to.

    Returns:
        A state of `tx` with its settings, in copies, so that the old state may be donated.

    Raises:
        TypeError: from `tx.init`, the parameters are not floating arrays.

    Example:
        >>> params, old = jnp.ones(3), adam(0.1)
        >>> _, state = old.update(params, old.init(params))
        >>> new = swap(nadam(0.05), state, params)
        >>> int(new.count), bool(jnp.array_equal(new.moments["mu"], state.moments["mu"]))
        (1, True)
    """
    return _carried(tx.init(params), state, lambda first, missing: first)


def _with_injected(state: Any, optax_state: Any) -> Any:
    """The state with the numbers that `inject_hyperparams` keeps in the optax state, each in the one rule that fits."""
    injected = [node.hyperparams for node in _nodes(optax_state) if hasattr(node, "hyperparams")]
    rules = [x.settings for x in jax.tree.leaves(state, is_leaf=_is_rule) if _is_rule(x)]
    numbers = {name: value for hyperparams in injected for name, value in hyperparams.items()}
    for name in numbers:
        places, values = (sum(name in names for names in group) for group in (rules, injected))
        if places and places * values > 1:
            raise ValueError(
                f"from_optax: the optax state has {name!r} from inject_hyperparams {values} times, and {places} rules "
                "have that setting: to keep the settings of tx, give the inner_state of that state"
            )

    def one(rule: Any) -> Any:
        changes = {name: value for name, value in numbers.items() if name in rule.settings} if _is_rule(rule) else {}
        return with_settings(rule, **changes) if changes else rule

    return jax.tree.map(one, state, is_leaf=_is_rule)


def _is_rule(x: Any) -> bool:
    return isinstance(x, State)


def _strict(name: str) -> Any:
    def refuse(first: State, missing: str) -> State:
        raise ValueError(f"from_optax: {name} keeps {missing!r}, which the optax state does not have in that shape")

    return refuse


def _carried(start: Any, source: Any, otherwise: Any) -> Any:
    """`start` with each rule's moments out of `source`; the k-th rule that keeps a name takes its k-th occurrence."""
    source = jax.tree.map(lambda x: decompressed(x) if _is_compressed(x) else x, source, is_leaf=_is_compressed)
    available = list(_moments(source))
    used: set[int] = set()

    def one(first: State) -> State:
        moments, count = {}, None
        for name, tree in first.moments.items():
            fitting = ((i, _fitted(tree, t)) for i, (n, t, _) in enumerate(available) if n == name and i not in used)
            i, match = next(((i, match) for i, match in fitting if match is not None), (None, None))
            if i is None:
                return otherwise(first, name)
            if _alike(tree, available[i][1]):  # the other groups of a partition take their part of the same tree
                used.add(i)
            moments[name] = jax.tree.map(_as, tree, match)
            count = available[i][2] if available[i][2] is not None else count
        if count is None:
            count = next((c for _, _, c in available if c is not None), _first_count(source))
        return first._replace(moments=moments, count=first.count if count is None else _as(first.count, count))

    def node(x: Any) -> Any:
        if _is_compressed(x):
            return recompressed(x, jax.tree.map(node, decompressed(x), is_leaf=is_place))
        return one(x) if _is_rule(x) else x

    is_place = lambda x: isinstance(x, State | CompressState)  # noqa: E731
    return jax.tree.map(node, start, is_leaf=is_place)


def _is_compressed(x: Any) -> bool:
    return isinstance(x, CompressState)


def _fitted(tree: Any, given: Any) -> Any:
    """The part of `given` that has the structure and shapes of `tree`: all of it, or one group of a partition."""
    if _alike(tree, given):
        return given
    leaves = dict(named_leaves(given))
    if not isinstance(tree, dict) or not tree or not tree.keys() <= leaves.keys():
        return None
    part = {name: leaves[name] for name in tree}
    return part if _alike(tree, part) else None


def _moments(source: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every named tree inside a state, with the count beside it."""
    for node in _nodes(source):
        trees = node.moments if _is_rule(node) else node._asdict()
        for name, tree in trees.items():
            yield name, tree, _count(node)


def _first_count(source: Any) -> Any:
    return next((c for c in map(_count, _nodes(source)) if c is not None), None)


def _count(node: Any) -> Any:
    return node.count if "count" in node._fields else None


def _nodes(tree: Any) -> Iterator[Any]:
    """Every NamedTuple inside a state, the outer one first."""
    if hasattr(tree, "_fields"):
        yield tree
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, tuple | list) else ()
    for child in children:
        yield from _nodes(child)


def _structure(tree: Any) -> Any:
    return jax.tree.structure(tree)


def _alike(a: Any, b: Any) -> bool:
    if _structure(a) != _structure(b):
        return False
    return all(jnp.shape(x) == jnp.shape(y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _as(array: Any, given: Any) -> Any:
    """A copy of `given` in the dtype of `array`: the old state may be donated."""
    return jnp.array(given, dtype=array.dtype, copy=True)
