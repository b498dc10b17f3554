"""Public docstrings: every parameter is explained and every example runs."""

import doctest
import inspect
import sys

import pytest

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE

PUBLIC = [*CATALOGUE, "act_dense", "bind", "check", "elementwise", "gain", "gated_dense", "register", "shaped"]


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_explain_every_parameter_and_their_examples_run(name: str) -> None:
    function = getattr(act, name)
    text = inspect.getdoc(function) or ""
    arguments = text[text.index("Args:") :]
    for parameter in inspect.signature(function).parameters.values():
        assert f"\n    {str(parameter).split(':')[0].split('=')[0]}: " in arguments
    sections = ["Returns:", "Raises:", "Example:", *(["Reference:"] if name in CATALOGUE else [])]
    assert all(f"\n{section}\n" in text for section in sections)
    module = sys.modules[function.__module__]
    (case,) = doctest.DocTestFinder(recurse=False).find(
        function, name, module=module, globs={**vars(act), **vars(module)}
    )
    before = dict(CATALOGUE)
    assert case.examples and doctest.DocTestRunner(verbose=False).run(case).failed == 0
    CATALOGUE.clear()
    CATALOGUE.update(before)
