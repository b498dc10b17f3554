"""Every example in a docstring runs and gives what it says."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jaxopt_lite.flax
from jaxopt_lite import activations, optimizers
from jaxopt_lite.flax import linen

MODULES = [m.name for m in pkgutil.walk_packages(jaxopt_lite.flax.__path__, "jaxopt_lite.flax.")]
GLOBALS = {**vars(activations), **vars(optimizers), **vars(jaxopt_lite.flax)}
GLOBALS |= {"jax": jax, "jnp": jnp, "nnx": nnx, "linen": linen, "rows": optimizers.rows}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    loaded = importlib.import_module(module)
    assert doctest.testmod(loaded, extraglobs={**GLOBALS, **vars(loaded)}).failed == 0
