"""The public names of the package: documented, with examples that run, and used from outside instead of its modules."""

import ast
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from jaxopt_lite import report

MODULES = [module.name for module in pkgutil.walk_packages(report.__path__, "jaxopt_lite.report.")]
FUNCTIONS = {name: value for name, value in vars(report).items() if inspect.isfunction(value)}
ROOT = Path(__file__).parents[2]


def test_public_names() -> None:
    assert sorted(FUNCTIONS) == [
        "activation_card",
        "activation_gallery",
        "activation_picture",
        "best_so_far",
        "curves",
        "heatmaps",
        "importance",
        "optimizer_card",
        "optimizer_picture",
        "page",
        "parallel",
        "rungs",
        "table",
    ]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_are_complete(name: str) -> None:
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert f"\n{section}\n" in text
    for parameter in inspect.signature(FUNCTIONS[name]).parameters:
        assert f"\n    {parameter}: " in text
    assert len(text.splitlines()) <= 60


def test_private_modules_are_imported_only_inside() -> None:
    sources = [*(ROOT / "jaxopt_lite").rglob("*.py"), *(ROOT / "experiments").glob("*.py")]
    outside = [path for path in sources if not path.is_relative_to(ROOT / "jaxopt_lite" / "report")]
    private = [
        f"{path.name}: {node.module}"
        for path in outside
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxopt_lite.report._")
    ]
    assert len(outside) > 100 and private == []
