"""The project: which package imports which, that imports stay light, and that the README's examples run."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jaxopt_lite"
PACKAGES = ["activations", "optimizers", "flax", "diagnostics", "training", "sweeps", "report", "bench", "cli"]
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] in PACKAGES)


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_package_imports_only_packages_to_its_left(path):
    package = path.relative_to(PACKAGE).parts[0]
    allowed = set(PACKAGES[: PACKAGES.index(package) + 1]) - ({"activations"} if package == "optimizers" else set())
    for name in imported(path):
        if name.startswith("jaxopt_lite.") and name.split(".")[1] in PACKAGES:
            assert name.split(".")[1] in allowed, f"{package} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_files_of_a_package_do_not_import_each_other_in_a_circle(package):
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    inside = {name: path for name, path in modules.items() if name.split(".")[1] == package}
    graph = {name: {n for n in imported(path) if n in inside and n != name} for name, path in inside.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_packages_flax_and_bench_import_flax(path):
    package = path.relative_to(PACKAGE).parts[0]
    roots = {name.split(".")[0] for name in imported(path)}
    if package not in ("flax", "bench") and path.name != "_identity.py":  # which records the version of Flax
        assert "flax" not in roots


@pytest.mark.parametrize(
    "module, absent",
    [
        ("jaxopt_lite", {"jax", "flax", "matplotlib"}),
        ("jaxopt_lite.activations", {"flax", "matplotlib", "optax"}),
        ("jaxopt_lite.optimizers", {"flax", "matplotlib"}),
        ("jaxopt_lite.sweeps", {"matplotlib", "pandas", "sklearn"}),
        ("jaxopt_lite.cli", {"jax", "numpy", "flax", "optax", "matplotlib", "rich"}),
    ],
)
def test_importing_a_package_does_not_import_heavy_libraries(module, absent):
    code = f"import sys, {module}; print('imported', *sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["imported"]


def blocks(mark):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("mark", ["example", "idea", "diagnose"])
def test_the_examples_of_the_readme_run(mark, tmp_path):
    (code,) = blocks(mark)
    script = tmp_path / "example.py"
    script.write_text(code)
    found = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, cwd=tmp_path, env=_environment()
    )
    assert found.returncode == 0, found.stderr
    if mark == "example":
        assert len(found.stdout.splitlines()) == 6
        assert "±" in found.stdout


def test_files_that_the_readme_links_to_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link


def _environment():
    import os

    return os.environ | {"PYTHONPATH": str(ROOT)}
