"""The README's file with an activation, an optimizer and a task of one's own, followed literally."""

import os
import re
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


def run(*arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# All commands in one process: to import JAX takes seconds.
ONE_PROCESS = """
import shlex, sys
from jaxopt_lite.cli import main
for line in sys.argv[1:]:
    print("ran", line)
    program, *arguments = shlex.split(line)
    if program == "python":
        exec(arguments[1])
    else:
        assert main(arguments) == 0, line
"""


def test_the_commands_of_the_readme_run(folder: Path) -> None:
    assert [line.split()[:2] for line in COMMANDS[:1]] == [["python", "-c"]]
    assert all(line.startswith("jaxopt-lite ") for line in COMMANDS[1:])
    outputs = run("-c", ONE_PROCESS, *COMMANDS, cwd=folder).split("ran ")[1:]
    expected = {
        "-c": ("claims_are_true", "one_trace"),
        "list": ("star_relu", "signum"),
        "explain": ("max(x, 0)^2",),
        "sweep": ("signum",),
    }
    for line, out in zip(COMMANDS, outputs, strict=True):
        for text in expected[line.split()[1]]:
            assert text in out.partition("\n")[2], line
