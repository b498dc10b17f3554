"""Attributes that `jaxopt_lite.optimizers` does not define: optimizers of new files, and errors with a suggestion."""

import inspect
from typing import Any

import optax

from jaxopt_lite import _names, _optax_names
from jaxopt_lite.optimizers._catalogue import CATALOGUE


def attribute(name: str, known: list[str]) -> Any:
    """The function of an optimizer that is registered, or has a file in `rules` but no import in the package.

    Args:
        name: the attribute that was asked for.
        known: the public names of the package.

    Returns:
        The function.

    Raises:
        AttributeError: if there is none, with the nearest name, or how to use the one of optax.
    """
    if name in CATALOGUE.functions:
        return CATALOGUE.functions[name]
    if name.startswith("_"):
        raise AttributeError(f"module 'jaxopt_lite.optimizers' has no attribute {name!r}")
    module = next((m for m in (optax, optax.contrib) if hasattr(m, name)), None)
    if (text := _optax_names.replacement(name)) is not None:
        hint = text
    elif module is not None:
        place = f"{module.__name__}.{name}"
        hint = f"optax has it: use {f'lift({place})(...)' if _is_factory(getattr(module, name)) else place}"
    else:
        nearest = _names.nearest(name, known)
        hint = f"did you mean {nearest!r}?" if nearest else "its __all__ lists the names"
    raise AttributeError(f"module 'jaxopt_lite.optimizers' has no attribute {name!r}: {hint}")


def _is_factory(value: Any) -> bool:
    """Whether it is a function that returns a transformation, as its annotation says."""
    return inspect.isfunction(value) and "GradientTransformation" in str(inspect.signature(value).return_annotation)
