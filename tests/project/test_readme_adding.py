"""The README's file with an activation, an optimizer and a task of one's own, followed literally."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def block(mark: str) -> str:
    (text,) = re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    return text


COMMANDS = block("mine.py commands").splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine.py").write_text(block("mine.py"))
    return folder


@pytest.mark.parametrize("line", COMMANDS, ids=range(len(COMMANDS)))
def test_the_commands_of_the_readme_run(line: str, folder: Path) -> None:
    program, *arguments = shlex.split(line)
    start = [sys.executable] if program == "python" else [sys.executable, "-m", "jaxopt_lite"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*start, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {"-c": ("claims_are_true", "one_trace"), "list": ("star_relu", "signum"), "explain": ("max(x, 0)^2",)}
    for text in expected.get(arguments[0], ("signum",)):
        assert text in done.stdout
