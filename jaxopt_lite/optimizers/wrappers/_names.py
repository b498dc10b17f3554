"""Names of parameters: paths like "encoder/layer_0/kernel", in dictionaries, modules and variables of Flax."""

import itertools
from typing import Any

import jax


def path_name(path: tuple) -> str:
    """The path of a leaf as "layer/kernel"."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def leaves_with_paths(tree: Any) -> list[tuple[tuple, Any]]:
    """The leaves, `None` among them, with their paths; the array inside a variable of Flax has the variable's path."""
    boxes = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: _is_none(x) or _is_box(x))[0]
    inside = [(path, jax.tree_util.tree_flatten_with_path(box, is_leaf=_is_none)[0]) for path, box in boxes]
    return [((*path, *below[1:]), x) for path, leaves in inside for below, x in leaves]


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves with their names; of equal ones, as of `{"a/b": x, "a": {"b": y}}`, the later get a number."""
    leaves, used = [], set()
    for path, x in leaves_with_paths(tree):
        name = start = path_name(path)
        for k in itertools.count(2):
            if name not in used:
                break
            name = f"{start}#{k}"
        used.add(name)
        leaves.append((name, x))
    return leaves


def _is_none(x: Any) -> bool:
    return x is None


def _is_box(x: Any) -> bool:
    # Variables of NNX and boxes of Linen are recognised by a method each, as this package does not import Flax.
    return hasattr(type(x), "get_metadata") or hasattr(type(x), "unbox")
