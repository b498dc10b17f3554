"""Trees of gradients, parameters and moments; a gradient of `None` leaves its parameter and moments unchanged."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def check_params(where: str, params: Any) -> None:
    """Check that every parameter is a floating or complex array.

    Args:
        where: the name of the transform, for the message.
        params: the tree given to `init`; `None` is no leaf.

    Raises:
        TypeError: if a leaf is something else.
    """
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
            given = f"a Python {type(leaf).__name__}" if dtype is None else f"of dtype {dtype}"
            place = jax.tree_util.keystr(path) or "the parameters"
            raise TypeError(
                f"{where}.init: {place} is {given}: give floating arrays only, and None in the place of everything "
                "else, as eqx.filter(model, eqx.is_inexact_array) does"
            )


def flatten_gradients(where: str, grads: Any) -> tuple[list[Any], Any]:
    """The leaves of a tree of gradients, `None` being one, and its structure.

    Args:
        where: the name of the transform, for the message.
        grads: the tree given to `update`.

    Returns:
        The list of leaves, arrays or `None`, and the treedef in which `None` counts as a leaf.

    Raises:
        TypeError: if a leaf is neither a floating or complex array nor `None`.
    """
    leaves, treedef = jax.tree.flatten(grads, is_leaf=_is_none)
    if not all(g is None or jnp.issubdtype(getattr(g, "dtype", type(g)), jnp.inexact) for g in leaves):
        for path, g in jax.tree_util.tree_flatten_with_path(grads)[0]:
            dtype = getattr(g, "dtype", type(g).__name__)
            if not jnp.issubdtype(getattr(g, "dtype", type(g)), jnp.inexact):
                place = jax.tree_util.keystr(path) or "the gradient"
                raise TypeError(
                    f"{where}.update: {place} is of dtype {dtype}, and an update would be rounded to 0: give floating "
                    "gradients, and None for what is not trained"
                )
    return leaves, treedef


def leaves_like(where: str, treedef: Any, gs: list[Any], tree: Any, grads: Any) -> list[Any]:
    """The leaves of `tree`, one for each gradient.

    Args:
        where: the name of the transform, for the message.
        treedef: the structure of the gradients, from `flatten_gradients`.
        gs: the leaves of the gradients.
        tree: a tree of parameters or moments. Where the gradient is `None` it may have anything.
        grads: the tree of gradients, for the message.

    Returns:
        A list as long as `gs`: arrays of the gradients' shapes, and whatever stands where the gradient is `None`.

    Raises:
        ValueError: if structure or shapes differ, with the paths that do.
    """
    try:
        leaves = treedef.flatten_up_to(tree)
    except (ValueError, TypeError) as error:
        raise ValueError(_differing(where, grads, tree)) from error
    for g, leaf in zip(gs, leaves, strict=True):
        if g is not None and getattr(leaf, "shape", None) != np.shape(g):
            raise ValueError(_differing(where, grads, tree))
    return leaves


def map_gradients(function: Callable[..., Any], grads: Any, *trees: Any) -> Any:
    """`jax.tree.map(function, grads, *trees)`, with `None` where the gradient is `None`.

    Args:
        function: called with a gradient, and the leaf of each of `trees` that belongs to it.
        grads: a tree of gradients.
        *trees: trees of the same structure, with anything where the gradient is `None`.

    Returns:
        A tree of the structure of `grads`.
    """
    return jax.tree.map(lambda g, *xs: None if g is None else function(g, *xs), grads, *trees, is_leaf=_is_none)


def map_state(function: Callable[..., Any], grads: Any, old: Any, *trees: Any) -> Any:
    """A new tree of moments: `function(gradient, moment, ...)`, and the old moment where the gradient is `None`.

    Args:
        function: called with a gradient, the moment that belongs to it, and the leaf of each of `trees`.
        grads: a tree of gradients.
        old: the tree of moments, shaped like the parameters.
        *trees: further trees of the same structure, with anything where the gradient is `None`.

    Returns:
        A tree of the structure of `old`.
    """
    return jax.tree.map(lambda g, m, *xs: m if g is None else function(g, m, *xs), grads, old, *trees, is_leaf=_is_none)


def _is_none(x: Any) -> bool:
    return x is None


def _differing(where: str, grads: Any, tree: Any) -> str:
    given, expected = _shapes(grads), _shapes(tree)
    untrained = [path for path, shape in given.items() if shape is None]
    expected = {p: s for p, s in expected.items() if not any(p.startswith(u) for u in untrained)}
    paths = sorted(p for p in given.keys() | expected.keys() if given.get(p, "") != expected.get(p, ""))
    paths = [p for p in paths if p not in untrained]
    lines = [
        f"  {p or '(root)'}: gradient {given.get(p, 'missing')}, parameter {expected.get(p, 'missing')}"
        for p in paths[:8]
    ]
    more = [f"  and {len(paths) - 8} more"] if len(paths) > 8 else []
    note = [] if paths else [f"  gradients {jax.tree.structure(grads)}, parameters {jax.tree.structure(tree)}"]
    head = f"{where}.update: the gradients are not shaped like the parameters that init was given:"
    return "\n".join([head, *lines, *more, *note, "give gradients of those parameters, or call init again"])


def _shapes(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_none)[0]
    return {jax.tree_util.keystr(path): None if x is None else _shape(x) for path, x in leaves}


def _shape(x: Any) -> Any:
    return x.shape if hasattr(x, "shape") else type(x).__name__
