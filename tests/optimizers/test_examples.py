"""Every example in a docstring runs and gives what it says."""

import doctest
import importlib
import pkgutil
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import jaxopt_lite.flax
import jaxopt_lite.optimizers
from jaxopt_lite import optimizers

MODULES = [m.name for m in pkgutil.walk_packages(optimizers.__path__, "jaxopt_lite.optimizers.")]
MODULES += ["jaxopt_lite.flax._optimizer", "jaxopt_lite.flax._embedding", "jaxopt_lite.report._optimizer_cards"]
NAMES = {name: getattr(optimizers, name) for name in optimizers.__all__}
NAMES |= {"jax": jax, "jnp": jnp, "optax": optax, "nnx": nnx}
NAMES |= {name: getattr(jaxopt_lite.flax, name) for name in ("Embedding", "Rows", "Optimizer")}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    loaded, catalogue = importlib.import_module(module), optimizers.CATALOGUE
    rows, functions = dict(catalogue), dict(catalogue.functions)
    outcome = doctest.testmod(loaded, extraglobs={**NAMES, **vars(loaded), "rows": optimizers.rows})
    for kept, now in ((rows, catalogue), (functions, catalogue.functions)):  # without what the examples register
        now.clear()
        now.update(kept)
    assert outcome.failed == 0


@pytest.mark.parametrize(
    "name",
    [n for n in optimizers.__all__ if n not in ("CATALOGUE", "rows", "State", "Transform", "Optimizer", "Setting")],
)
def test_every_public_name_says_what_it_does(name: str) -> None:
    thing: Any = getattr(optimizers, name)
    assert thing.__doc__ and len(thing.__doc__.splitlines()) <= 60
    if callable(thing) and not isinstance(thing, type):
        assert ">>>" in thing.__doc__ or name in ("global_norm", "averaged", "loss_scale_of"), name
