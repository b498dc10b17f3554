"""Attributes that `jaxopt_lite.optimizers` does not define: optimizers of new files, and errors with a suggestion."""

from typing import Any

import optax

from jaxopt_lite import _names
from jaxopt_lite.optimizers._catalogue import CATALOGUE


def attribute(name: str, known: list[str]) -> Any:
    """The function of an optimizer that is registered, or has a file in `rules` but no import in the package.

    Args:
        name: the attribute that was asked for.
        known: the public names of the package.

    Returns:
        The function.

    Raises:
        AttributeError: if there is none, with the nearest name, or `lift` for one of optax's.
    """
    if name in CATALOGUE.functions:
        return CATALOGUE.functions[name]
    if name.startswith("_"):
        raise AttributeError(f"module 'jaxopt_lite.optimizers' has no attribute {name!r}")
    if hasattr(optax, name):
        hint = f"optax has it: use lift(optax.{name})(...)"
    elif hasattr(optax.contrib, name):
        hint = f"optax has it: use lift(optax.contrib.{name})(...)"
    else:
        nearest = _names.nearest(name, known)
        hint = f"did you mean {nearest!r}?" if nearest else "its __all__ lists the names"
    raise AttributeError(f"module 'jaxopt_lite.optimizers' has no attribute {name!r}: {hint}")
