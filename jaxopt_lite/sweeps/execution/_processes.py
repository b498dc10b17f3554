"""Workers in other processes of this machine."""

import math
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from jaxopt_lite.sweeps.execution import _serve
from jaxopt_lite.sweeps.execution._pool import Lost, Pool, Unfit, check_patience
from jaxopt_lite.sweeps.execution._portable import Recipe, Setup, Shipped, setup
from jaxopt_lite.sweeps.execution._work import Answer, Failed, Work
from jaxopt_lite.training import StreamError


class Processes(NamedTuple):
    """What `processes` returns: run a sweep in worker processes of this machine."""

    number: int
    patience: float

    def setup(self, plan: Shipped) -> Setup:
        """What workers need of a plan.

        Raises:
            TaskError: the task cannot be sent.
        """
        return setup(plan.task, plan.groups, plan.layout, by_value=False)

    def open(self, ready: Setup, recipes: Callable[[int], Recipe]) -> Pool:
        """Start the workers.

        Args:
            ready: what `setup` returned.
            recipes: how the programs of a group are built.
        """
        return Pool([partial(_Process, ready, recipes, self.patience)] * self.number)

    def workers(self) -> int:
        """The number of workers."""
        return self.number

    def __str__(self) -> str:
        return f"{self.number} process{'es' if self.number > 1 else ''} of this machine"


def processes(count: int | None = None, *, patience: float = 60.0) -> Processes:
    """Run a sweep in worker processes of this machine, as `sweeps.run(..., on=sweeps.processes(4))`.

    Without it a sweep runs in threads of this process, which use all cores too and need less memory. Processes help
    where one process does not get all cores, and keep what was computed if a training kills its process, for instance
    for lack of memory: the segment is tried again by a new process, after three times each of its runs alone, and a run
    with which three more processes are lost has status `failed`. Each worker builds the programs of the sweep, and runs
    are bitwise the same. The task and the settings are sent by cloudpickle: functions of modules by name, lambdas and
    those of your main program by value.

    Args:
        count: number of processes, at least 1. Default: the cores that this process may use.
        patience: seconds without a sign of life after which a worker is replaced. Workers give one every second, also
            while they train. Default: 60.

    Returns:
        The argument `on` of `sweeps.run`, `plan` and `execute`.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from jaxopt_lite import sweeps
        >>> print(sweeps.processes(2))
        2 processes of this machine
    """
    if count is None:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"processes takes a number of processes, at least 1; got {count!r}")
    check_patience(patience)
    return Processes(count, float(patience))


class _Process:
    """A worker process, which ends with the connection to it."""

    def __init__(self, ready: Setup, recipes: Callable[[int], Recipe], patience: float, closed: Event) -> None:
        """Start it.

        Raises:
            Lost: it ended at once, or is not needed any more.
            Unfit: it cannot do the works of this sweep.
        """
        self._recipes, self._patience = recipes, patience
        self._loaded: set[int] = set()
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            # not multiprocessing.Process: that runs the user's main program again, which must be written for it
            self._process = subprocess.Popen(
                [sys.executable, "-P", _serve.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": _search_path()},
                process_group=0,  # Ctrl-C reaches the sweep alone, which lets the segments end
            )
        # a worker that is stopped reads nothing either: without a limit, sending a large state would wait for ever
        with socket.fromfd(self._connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", math.ceil(patience), 0))
        try:
            self._ask(closed=closed)  # before it reads, a large task would fill the connection
            self._ask("setup", ready, closed=closed)
        except Unfit:
            self.close()
            raise

    def perform(self, work: Work) -> Answer | Failed:
        if work.group not in self._loaded:
            failed = self._ask("load", self._recipes(work.group))
            if failed is not None:
                return failed
            self._loaded.add(work.group)
        return self._ask("perform", work)

    def close(self) -> None:
        self._connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, *request: Any, closed: Event | None = None) -> Any:
        """The worker's answer, without a request that to its start; with `closed`, only until that is set.

        Raises:
            Lost: there is none.
            Unfit: the worker cannot do what comes before a work.
            RuntimeError: a work raised an error; a StreamError if the data cannot be read.
        """
        try:
            if request:
                self._connection.send(request)
            deadline = time.monotonic() + self._patience
            while True:
                if not self._connection.poll(0.5):
                    if closed is not None and closed.is_set():
                        raise self._gone("the sweep has ended")
                    if time.monotonic() > deadline:
                        raise self._gone(f"it gave no sign of life for {self._patience:g} s")
                    continue
                deadline = time.monotonic() + self._patience
                kind, answer = self._connection.recv()
                if kind == "error":
                    if answer.startswith("StreamError: "):
                        raise StreamError(answer.removeprefix("StreamError: "))
                    raise (RuntimeError if request[:1] == ("perform",) else Unfit)(answer)
                if kind == "answer":
                    return answer
        except (EOFError, OSError):
            try:
                why = f"it ended with {_ending(self._process.wait(timeout=5))}"
            except subprocess.TimeoutExpired:
                why = f"it read nothing for {self._patience:g} s"
            raise self._gone(why) from None

    def _gone(self, why: str) -> Lost:
        self._process.kill()
        self._process.wait()
        self._connection.close()
        return Lost(why)


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "signal SIGKILL, which the system sends if memory runs out"
    return f"signal {-code}" if code < 0 else f"status {code}"


def _search_path() -> str:
    """Where this process finds its modules, for another one."""
    return os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
