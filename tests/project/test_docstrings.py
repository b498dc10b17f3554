"""Every public name has a Google-style docstring: Args for every parameter, Returns, and an example."""

import dataclasses
import importlib
import inspect
import re
from typing import Any

import flax.linen as nn
import pytest

# Packages whose docstrings are complete; add one when it is.
PACKAGES = (
    "activations",
    "activations.initializers",
    "optimizers",
    "optimizers.rows",
    "optimizers.rules",
    "flax",
    "flax.linen",
    "diagnostics",
    "training",
    "sweeps",
    "report",
    "bench",
)
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Reference", "References")


def public(package: str) -> dict[str, Any]:
    """The public functions and classes of a package, by name."""
    module = importlib.import_module(f"jaxopt_lite.{package}")
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    found = {name: getattr(module, name) for name in names}
    ours = {name: thing for name, thing in found.items() if callable(thing) and hasattr(thing, "__module__")}
    ours = {name: thing for name, thing in ours.items() if not getattr(thing, "_is_protocol", False)}
    return {name: thing for name, thing in ours.items() if thing.__module__.startswith("jaxopt_lite.")}


CASES = {f"{package}.{name}": thing for package in PACKAGES for name, thing in public(package).items()}


def section(doc: str, title: str) -> str | None:
    """The text below a heading of a docstring, up to the next heading."""
    match = re.search(rf"^{title}:\n((?:(?!(?:{'|'.join(SECTIONS)}):\n).*\n?)*)", doc, re.MULTILINE)
    return match and match[1]


def arguments(thing: Any) -> list[str]:
    """The names that Args must have: parameters of a function, fields of a record."""
    if inspect.isclass(thing):
        fields = getattr(thing, "_fields", None)
        if dataclasses.is_dataclass(thing):
            fields = [field.name for field in dataclasses.fields(thing)]
        if fields is not None:
            of_flax = {"parent", "name"} if issubclass(thing, nn.Module) else set()
            return [name for name in fields if not name.startswith("_") and name not in of_flax]
        defines = next(cls for cls in thing.__mro__ if "__init__" in vars(cls))
        if not defines.__module__.startswith("jaxopt_lite."):  # an error, or a kind of Flax variable
            return []
    kinds = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [kinds.get(p.kind, "") + name for name, p in inspect.signature(thing).parameters.items()]


@pytest.mark.parametrize("name", CASES)
def test_arguments(name: str) -> None:
    thing = CASES[name]
    doc = inspect.cleandoc(thing.__doc__ or "")
    listed = section(doc, "Args") or section(doc, "Attributes") or ""
    described = re.findall(r"^ {4}(\*{0,2}\w+)(?: \([^)]*\))?: \S", listed, re.MULTILINE)
    assert described == arguments(thing), f"{name}: Args are {described}, the parameters {arguments(thing)}"


@pytest.mark.parametrize("name", CASES)
def test_result_and_example(name: str) -> None:
    thing = CASES[name]
    doc = inspect.cleandoc(thing.__doc__ or "")
    assert doc.split("\n")[0].endswith((".", ":")), "the first line is a sentence"
    assert len(doc.splitlines()) <= 60
    if not inspect.isclass(thing):
        returned = inspect.signature(thing).return_annotation
        assert returned in (None, "None") or section(doc, "Returns") or section(doc, "Yields"), f"{name}: no Returns"
        assert section(doc, "Example") or section(doc, "Examples"), f"{name}: no Example"


@pytest.mark.parametrize("name", [name for name, thing in CASES.items() if inspect.isfunction(thing)])
def test_signature_is_typed(name: str) -> None:
    signature = inspect.signature(CASES[name])
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
