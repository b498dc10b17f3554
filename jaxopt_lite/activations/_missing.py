"""The error for a name that the package does not have."""

import sys
from typing import NoReturn

from jaxopt_lite._names import unknown

_ELSEWHERE = {"hard_swish": "hard_silu", "hardswish": "hard_silu", "softsign": "soft_sign"}


def __getattr__(name: str) -> NoReturn:
    """Raise an AttributeError that names the function of this package or of jax.nn that was meant."""
    if name.startswith("_"):
        raise AttributeError(name)
    if name in _ELSEWHERE:
        raise AttributeError(f"jaxopt_lite.activations has no {name!r}; use {_ELSEWHERE[name]}")
    import jax

    if hasattr(jax.nn, name):
        raise AttributeError(
            f"jaxopt_lite.activations has no {name!r}, for it replaces the activation functions of jax.nn only; "
            f"use jax.nn.{name}"
        )
    package = sys.modules["jaxopt_lite.activations"]
    raise AttributeError(unknown("activation", name, vars(package).get("CATALOGUE", ())))
