"""Every example in a docstring runs and gives what it says; every public name has one."""

import doctest
import importlib
import pkgutil
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jaxopt_lite.flax
from jaxopt_lite import activations, optimizers
from jaxopt_lite.flax import linen

MODULES = [m.name for m in pkgutil.walk_packages(jaxopt_lite.flax.__path__, "jaxopt_lite.flax.")]
MODULES += ["jaxopt_lite.activations._dense"]
GLOBALS = {**vars(activations), **vars(optimizers), **vars(jaxopt_lite.flax)}
GLOBALS |= {"jax": jax, "jnp": jnp, "nnx": nnx, "linen": linen, "rows": optimizers.rows}
PUBLIC = {f"{room.__name__}.{name}": getattr(room, name) for room in (jaxopt_lite.flax, linen) for name in vars(room)}
PUBLIC = {name: thing for name, thing in PUBLIC.items() if callable(thing)}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    loaded = importlib.import_module(module)
    assert doctest.testmod(loaded, extraglobs={**GLOBALS, **vars(loaded)}).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name: str) -> None:
    thing: Any = PUBLIC[name]
    assert ">>>" in thing.__doc__
