"""Which modules of a model are its layers, and how the output of a layer is marked in the program."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

Path = tuple[Any, ...]
_MARK = "jaxopt_lite layer: "


def innermost(owners: Iterable[Path], whole: set[Path]) -> list[Path]:
    """The layers among the modules that own parameters.

    A layer has no layer inside, so that a block with a parameter beside its layers is not one itself. The paths in
    `whole` are layers in any case, and what is inside them is a part of them (the factors of a `LoRALinear`).
    """
    owners = list(dict.fromkeys(owners))
    inside = {path[:i] for path in owners for i in range(len(path))}
    return [
        path
        for path in owners
        if (path in whole or path not in inside) and not any(path[:i] in whole for i in range(len(path)))
    ]


def name_of(path: Path) -> str:
    """The path as text: `blocks.0.attention.query`."""
    return ".".join(map(str, path)) or "(model)"


def marked(output: Any, name: str) -> Any:
    """The output of the layer `name` with a mark on its first array of floats; the mark does not change its value."""
    leaves, structure = jax.tree.flatten(output)
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating):
            leaves[i] = checkpoint_name(leaf, _MARK + name)
            break
    return jax.tree.unflatten(structure, leaves)


def layer_of(equation: Any) -> str | None:
    """The name of the layer whose output an operation of a program marks; None for all other operations."""
    name = equation.params.get("name")
    return name.removeprefix(_MARK) if isinstance(name, str) and name.startswith(_MARK) else None
