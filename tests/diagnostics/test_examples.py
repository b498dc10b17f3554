"""Every example in a docstring runs and gives what it says; every public name has one."""

import doctest
import importlib
import pkgutil
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxopt_lite import activations, diagnostics

MODULES = [m.name for m in pkgutil.walk_packages(diagnostics.__path__, "jaxopt_lite.diagnostics.")]
GLOBALS = {"jax": jax, "jnp": jnp, "activations": activations, **vars(diagnostics)}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    loaded = importlib.import_module(module)
    assert doctest.testmod(loaded, extraglobs={**GLOBALS, **vars(loaded)}).failed == 0


@pytest.mark.parametrize("name", [name for name, value in vars(diagnostics).items() if callable(value)])
def test_every_public_name_has_an_example(name: str) -> None:
    thing: Any = getattr(diagnostics, name)
    assert ">>>" in thing.__doc__


def test_the_example_of_diagnose_runs_as_pasted() -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(diagnostics.diagnose, globs={})
    assert doctest.DocTestRunner().run(test).failed == 0
