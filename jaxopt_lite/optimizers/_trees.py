"""Trees of parameters and gradients that must agree: one clear error, by path, where they do not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def check_params(where: str, params: Any) -> None:
    """Every parameter must be a floating or complex array."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        kind = getattr(leaf, "dtype", None)
        if kind is None or not jnp.issubdtype(kind, jnp.inexact):
            given = f"a Python {type(leaf).__name__}" if kind is None else f"of dtype {kind}"
            place = jax.tree_util.keystr(path) or "the parameters"
            raise TypeError(
                f"{where}.init: {place} is {given}: give floating arrays only (convert it, or split it off)"
            )


def leaves_like(where: str, treedef: Any, gs: list, tree: Any, grads: Any) -> list:
    """The leaves of `tree`, which must be shaped like the gradients."""
    try:
        leaves = treedef.flatten_up_to(tree)
    except (ValueError, TypeError) as error:
        raise ValueError(_differing(where, grads, tree)) from error
    for g, leaf in zip(gs, leaves, strict=True):
        if getattr(leaf, "shape", None) != np.shape(g):
            raise ValueError(_differing(where, grads, tree))
    return leaves


def _differing(where: str, grads: Any, tree: Any) -> str:
    mine, theirs = _shapes(grads), _shapes(tree)
    paths = sorted(p for p in mine.keys() | theirs.keys() if mine.get(p) != theirs.get(p))
    lines = [
        f"  {p or '(root)'}: gradient {mine.get(p, 'missing')}, parameter {theirs.get(p, 'missing')}" for p in paths[:8]
    ]
    more = [f"  and {len(paths) - 8} more"] if len(paths) > 8 else []
    note = [] if paths else [f"  gradients {jax.tree.structure(grads)}, parameters {jax.tree.structure(tree)}"]
    head = f"{where}.update: the gradients are not shaped like the parameters that init was given:"
    return "\n".join([head, *lines, *more, *note, "give gradients of those parameters, or call init again"])


def _shapes(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): np.shape(x) for path, x in jax.tree_util.tree_flatten_with_path(tree)[0]}
