"""Moments taken over from another state: optax's, or another optimizer's of ours."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._settings import with_settings
from jaxopt_lite.optimizers._transform import State
from jaxopt_lite.optimizers.wrappers._lift import LiftedState


def from_optax(tx: Any, optax_state: Any, params: Any) -> Any:
    """The state of `tx` that goes on where an optax optimizer stopped.

    Moments are found by the names that optax gives them (`mu`, `nu`, `trace`, ...), the count beside them. Settings
    are those of `tx`, except where `inject_hyperparams` kept them in the optax state. A lifted factory takes optax's
    state as it is.

    Raises `ValueError` where the optax state lacks a moment that `tx` keeps, or has it in another shape.

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
                f"from_optax: {tx.name} wants the state {jax.tree.structure(start.inner)}, "
                f"and was given {jax.tree.structure(optax_state)}"
            )
        return start._replace(inner=jax.tree.map(_as, start.inner, optax_state))
    state = _carried(start, optax_state, _strict(tx.name))
    hyper: dict[str, Any] = next((n.hyperparams for n in _nodes(optax_state) if hasattr(n, "hyperparams")), {})
    known = getattr(state, "settings", {})
    return with_settings(state, **{name: value for name, value in hyper.items() if name in known})


def swap(tx: Any, state: Any, params: Any) -> Any:
    """The state of `tx` that takes over the moments of another optimizer's `state`, in mid-run.

    Each rule inside `tx` takes the moments that it keeps from those of the same name (`mu` of Adam for Lion's, say).
    If all are found the count goes on; otherwise moments and count start anew, as the correction of a young mean
    counts from its beginning. Settings are those of `tx`; wrappers start anew.

    >>> params, old = jnp.ones(3), adam(0.1)
    >>> _, state = old.update(params, old.init(params))
    >>> new = swap(nadam(0.05), state, params)
    >>> int(new.count), bool(jnp.array_equal(new.moments["mu"], state.moments["mu"]))
    (1, True)
    """
    return _carried(tx.init(params), state, lambda own, missing: own)


def _strict(name: str) -> Any:
    def refuse(own: State, missing: str) -> State:
        raise ValueError(f"from_optax: {name} keeps {missing!r}, which the optax state does not have in that shape")

    return refuse


def _carried(start: Any, source: Any, otherwise: Any) -> Any:
    """`start` with each rule's moments out of `source`; the k-th rule that keeps a name takes its k-th occurrence."""
    held = list(_moments(source))
    used: set[int] = set()

    def one(own: State) -> State:
        found, count = {}, None
        for name, tree in own.moments.items():
            fitting = (i for i, (n, t, _) in enumerate(held) if n == name and i not in used and _alike(tree, t))
            i = next(fitting, None)
            if i is None:
                return otherwise(own, name)
            used.add(i)
            found[name] = jax.tree.map(_as, tree, held[i][1])
            count = held[i][2] if held[i][2] is not None else count
        if count is None:
            count = next((c for _, _, c in held if c is not None), _first_count(source))
        return own._replace(moments=found, count=own.count if count is None else _as(own.count, count))

    is_rule = lambda x: isinstance(x, State)  # noqa: E731
    return jax.tree.map(lambda x: one(x) if is_rule(x) else x, start, is_leaf=is_rule)


def _moments(source: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every named tree inside a state, with the count beside it."""
    for node in _nodes(source):
        held = node.moments if isinstance(node, State) else node._asdict()
        for name, tree in held.items():
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


def _as(own: Any, given: Any) -> Any:
    """A copy in our dtype: the old state may be donated."""
    return jnp.array(given, dtype=own.dtype, copy=True)
