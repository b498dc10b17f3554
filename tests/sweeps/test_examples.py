"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

from jaxopt_lite import sweeps, training

MODULES = [f"{p.__name__}.{m.name}" for p in (sweeps, training) for m in pkgutil.iter_modules(p.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch):
    monkeypatch.setattr(sweeps.Layout.__new__, "__defaults__", (None,) * 5)  # they show plans for a CPU
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
