"""Docstrings of all public functions: every parameter, what is returned, and an example."""

import inspect
from typing import Any

import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers import rows

FUNCTIONS = {
    f"{prefix}{name}": getattr(module, name)
    for prefix, module in (("", opt), ("rows.", rows))
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
}


def sections(function: Any) -> dict[str, str]:
    """The sections of a Google-style docstring by title."""
    found, title = {"": ""}, ""
    for line in inspect.getdoc(function).splitlines():
        if line.endswith(":") and line[:-1] in ("Args", "Returns", "Raises", "Example", "Reference"):
            title = line[:-1]
            found[title] = ""
        else:
            found[title] += line + "\n"
    return found


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_sections(function: Any) -> None:
    text, parameters = sections(function), inspect.signature(function).parameters.values()
    for parameter in parameters:
        star = "*" * (parameter.kind is parameter.VAR_POSITIONAL) + "**" * (parameter.kind is parameter.VAR_KEYWORD)
        assert f"    {star}{parameter.name}: " in text["Args"], parameter.name
    assert text["Returns"].strip()
    assert ">>>" in text["Example"]


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_signatures_are_typed(function: Any) -> None:
    annotations = inspect.signature(function)
    assert annotations.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in annotations.parameters.values())
