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


# In an order in which what a package may import, the next ones may too, so that one process can import all.
ABSENT = {
    "jaxopt_lite": {"jax", "numpy", "flax", "optax", "matplotlib", "rich"},
    "jaxopt_lite.cli": {"jax", "numpy", "flax", "optax", "matplotlib", "rich"},
    "jaxopt_lite.activations": {"flax", "matplotlib", "optax"},
    "jaxopt_lite.optimizers": {"flax", "matplotlib"},
    "jaxopt_lite.sweeps": {"matplotlib", "pandas", "sklearn"},
}


def test_importing_a_package_does_not_import_heavy_libraries():
    code = (
        f"import importlib, sys\nfor name, absent in {ABSENT!r}.items():\n"
        "    importlib.import_module(name)\n    print(name, *sorted(absent & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*ABSENT]


def blocks(mark):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```", text, flags=re.DOTALL)


def test_the_examples_of_the_readme_run(tmp_path):
    """Each as a script, one after the other in one process: to import JAX takes seconds."""
    scripts = [tmp_path / f"{mark}.py" for mark in ("example", "idea", "diagnose")]
    for script in scripts:
        script.write_text(blocks(script.stem)[0])
    each = (
        "import runpy, sys\nfor path in sys.argv[1:]:\n    runpy.run_path(path, run_name='__main__')\n    print('ran')"
    )
    command = [sys.executable, "-W", "error", "-c", each, *map(str, scripts)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=_environment())
    assert found.returncode == 0, found.stderr
    example, *others = found.stdout.split("ran\n")
    assert len(others) == len(scripts)
    assert len(example.splitlines()) == 6
    assert "±" in example


def test_files_that_the_readme_links_to_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link


def _environment():
    import os

    return os.environ | {"PYTHONPATH": str(ROOT)}


def test_the_lines_that_the_mutants_break_are_there() -> None:
    from tests import mutants

    lost = [m.breaks for m in mutants.MUTANTS if (ROOT / m.file).read_text(encoding="utf-8").count(m.old) != 1]
    assert lost == []
