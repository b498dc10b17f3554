"""Which parameters decay: a tree of booleans, a prefix of one, or a function from the parameters to it."""

from typing import Any

import jax
import numpy as np


def checked_mask(where: str, mask: Any) -> Any:
    """The mask, if it consists of booleans.

    Args:
        where: the name of the optimizer, for the message.
        mask: a mask, or `None`. Functions are checked when they are called.

    Returns:
        The mask with Python booleans for boolean arrays, so that masks of either kind are equal; a function unchanged.

    Raises:
        TypeError: if a leaf is neither a boolean nor `None`.
    """
    if _is_function(mask):
        return mask
    for path, flag in jax.tree_util.tree_flatten_with_path(mask)[0]:
        if not isinstance(flag, bool) and (np.ndim(flag) > 0 or getattr(flag, "dtype", None) != np.dtype(bool)):
            place = jax.tree_util.keystr(path) or "the mask"
            raise TypeError(f"{where}: mask: {place} is {flag!r}: give True for what decays and False for the rest")
    return jax.tree.map(bool, mask)


def masked(where: str, mask: Any, params: Any) -> Any:
    """The mask as a tree with one boolean for each parameter.

    Args:
        where: the name of the optimizer, for the message.
        mask: a tree of booleans, a prefix of one, or a function from the parameters to it. `None` in it means no.
        params: the parameters.

    Returns:
        A tree of the structure of `params`.

    Raises:
        TypeError: if a leaf of the mask is no boolean.
        ValueError: if the mask is not a prefix of the parameters.
    """
    flags = checked_mask(where, mask(params) if _is_function(mask) else mask)
    try:
        return jax.tree.map(lambda flag, below: jax.tree.map(lambda _: bool(flag), below), flags, params, is_leaf=_none)
    except (ValueError, TypeError) as error:
        given = ", ".join(_paths(flags)) or "nothing"
        raise ValueError(
            f"{where}: the mask is not shaped like the parameters: it has {given}, the parameters have "
            f"{', '.join(_paths(params))}. Give a boolean for each, or for each branch, or a function, as "
            "lambda params: jax.tree.map(lambda p: p.ndim > 1, params)"
        ) from error


def _is_function(mask: Any) -> bool:
    """Whether it is to be called: a mask shaped like a model of Equinox is callable, but a tree."""
    return callable(mask) and jax.tree_util.all_leaves([mask])


def _none(x: Any) -> bool:
    return x is None


def _paths(tree: Any) -> list[str]:
    paths = [jax.tree_util.keystr(path) or "(root)" for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
    return paths[:8] + ["..."] * (len(paths) > 8)
