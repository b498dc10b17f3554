"""Running the command in a process of its own."""

import subprocess
import sys

SMALL = ["--activation", "tanh", "--optimizer", "adam", "--learning-rate", "0.01,0.1", "--seeds", "2", "--steps", "20"]


def started(*arguments, cwd):
    """The command, started, with its standard error readable."""
    command = [sys.executable, "-m", "jaxopt_lite", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(*arguments, cwd):
    """The command's result."""
    command = [sys.executable, "-m", "jaxopt_lite", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
