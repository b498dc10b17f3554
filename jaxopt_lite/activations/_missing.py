"""Names that the package does not define: registered functions, and the error for all others."""

import sys
from typing import Any

from jaxopt_lite._names import unknown

_ELSEWHERE = {"hard_swish": "hard_silu", "hardswish": "hard_silu", "softsign": "soft_sign"}


def __getattr__(name: str) -> Any:
    """A registered function, else an AttributeError that names the function of this package or of jax.nn to use."""
    if name.startswith("_"):
        raise AttributeError(name)
    catalogue = vars(sys.modules["jaxopt_lite.activations"]).get("CATALOGUE", {})
    if name in catalogue:
        return catalogue[name].function
    if name in _ELSEWHERE:
        raise AttributeError(f"jaxopt_lite.activations has no {name!r}; use {_ELSEWHERE[name]}")
    import jax

    if hasattr(jax.nn, name):
        raise AttributeError(
            f"jaxopt_lite.activations has no {name!r}, for it replaces the activation functions of jax.nn only; "
            f"use jax.nn.{name}"
        )
    raise AttributeError(unknown("activation", name, catalogue))
