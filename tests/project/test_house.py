"""The house itself: rooms import to their left only, doors are light, the README tells the truth."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jaxopt_lite"
ROOMS = ["activations", "optimizers", "flax", "diagnostics", "training", "sweeps", "report", "bench", "cli"]
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] in ROOMS)


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_to_its_left(path):
    room = path.relative_to(PACKAGE).parts[0]
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) - ({"activations"} if room == "optimizers" else set())
    for name in imported(path):
        if name.startswith("jaxopt_lite.") and name.split(".")[1] in ROOMS:
            assert name.split(".")[1] in allowed, f"{room} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_its_own_room_and_the_bench_import_flax(path):
    room = path.relative_to(PACKAGE).parts[0]
    tops = {name.split(".")[0] for name in imported(path)}
    if room not in ("flax", "bench") and path.name != "_identity.py":  # which notes the version of flax
        assert "flax" not in tops


@pytest.mark.parametrize(
    "module, absent",
    [
        ("jaxopt_lite", {"jax", "flax", "matplotlib"}),
        ("jaxopt_lite.activations", {"flax", "matplotlib", "optax"}),
        ("jaxopt_lite.optimizers", {"flax", "matplotlib"}),
        ("jaxopt_lite.sweeps", {"matplotlib", "pandas", "sklearn"}),
    ],
)
def test_doors_are_light(module, absent):
    code = f"import sys, {module}; print({absent!r} & set(sys.modules) or '')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert found.stdout.strip() == "", found.stdout + found.stderr


def blocks(mark):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("mark", ["example", "idea"])
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


def test_files_that_the_readme_names_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link


def _environment():
    import os

    return os.environ | {"PYTHONPATH": str(ROOT)}
