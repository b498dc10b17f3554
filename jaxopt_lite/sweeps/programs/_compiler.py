"""The programs of a sweep, traced and compiled when runs of their groups come up."""

import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

from jaxopt_lite._names import count
from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps._progress import Progress
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.execution._portable import Recipe
from jaxopt_lite.sweeps.execution._work import one_line
from jaxopt_lite.sweeps.programs._places import places
from jaxopt_lite.sweeps.programs._program import Programs, Traced
from jaxopt_lite.sweeps.programs._trace import trace
from jaxopt_lite.sweeps.programs._unread import check_read
from jaxopt_lite.sweeps.store._identity import check_program, check_scores
from jaxopt_lite.sweeps.store._ledger import Ledger


class Compiler:
    """The programs of a sweep.

    Attributes:
        traced: for each group traced so far, its programs.
        ready: for each group compiled so far, its executables by the number of the device.
        failed: for each group of which the task cannot be trained, the error that it raises.
        compiled: number of executables that had to be compiled, because no equal program was compiled before.
        seconds: time spent on tracing and compiling.
    """

    def __init__(self, planned: Plan, report: Callable[[Progress], None]) -> None:
        self._plan, self._report = planned, report
        self.traced: dict[int, Traced] = {}
        self.ready: dict[int, dict[int, Programs]] = {}
        self.failed: dict[int, Exception] = {}
        self._warned: set[int] = set()
        self.compiled = 0
        self.seconds = 0.0

    @property
    def digests(self) -> dict[str, list[str]]:
        """The digests of both programs of each group, by the group's number as text."""
        return {str(nth): list(programs.digests) for nth, programs in self.traced.items()}

    @property
    def programs(self) -> int:
        """Number of different programs."""
        return len({digest for pair in self.digests.values() for digest in pair})

    @property
    def used(self) -> int:
        """Number of different programs that were made ready to run."""
        return len({digest for nth in self.ready for digest in self.traced[nth].digests})

    @property
    def shapes(self) -> dict[int, list[Any]]:
        """For each group, the shapes of the arrays of the state of a chunk."""
        return {nth: programs.carry for nth, programs in self.traced.items()}

    def recipe(self, nth: int) -> Recipe:
        """How a worker elsewhere builds the programs of a group."""
        return Recipe(nth, self._plan.widths[nth], self.traced[nth].digests)

    def prepare(self, groups: Iterable[int], running: Iterable[int], previous: Ledger | None = None) -> None:
        """Trace some groups, and compile those of them that have runs to make, unless workers elsewhere do that.

        Programs are traced one after the other in the caller's thread, where the caller's settings of JAX hold, and
        compile in other threads meanwhile. A group that has fewer chunks than there are devices is compiled for as many
        devices as it has chunks.

        Args:
            groups: numbers of the groups to trace.
            running: for each run to make, the number of its group, which is compiled.
            previous: the ledger of which the programs must be, if the sweep is resumed.

        Raises:
            Exception: the task raises an error for every group of the space; that of the first one.
            ValueError: its scores cannot be columns, a setting has no effect, or a drawn number is needed.
            StoreError: a program is not that of the ledger.
        """
        begin = time.perf_counter()
        missing = self._missing(Counter(nth for nth in running if nth not in self.failed))
        asked = [nth for nth in dict.fromkeys([*groups, *missing]) if nth not in self.failed]
        to_do = [
            nth
            for nth in asked
            if nth not in self.traced or missing.get(nth) or nth in missing.keys() - self.ready.keys()
        ]
        if not to_do:
            return
        total, waiting = sum(map(len, missing.values())), dict[Future[tuple[Programs, int]], tuple[int, int]]()
        self._say(total, 0, begin)
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            for nth in to_do:
                devices = missing.get(nth, [])
                self._trace(nth, self._plan.devices[devices[0] if devices else 0], previous)
                for device in devices if nth in self.traced else ():
                    program = self.traced[nth].on(self._plan.devices[device])
                    waiting[pool.submit(program.compiled)] = nth, device
            check_read(self._plan, self.traced)
            for ready, future in enumerate(as_completed(waiting), start=1):
                if (error := future.exception()) is not None:
                    self._fail(waiting[future][0], error)
                self._say(total, ready, begin)
        finally:
            pool.shutdown(cancel_futures=True)
        for nth in missing.keys() & self.traced.keys() - self.failed.keys():
            self.ready.setdefault(nth, {})
        for future, (nth, device) in waiting.items():
            if nth not in self.failed:
                self.ready[nth][device] = future.result()[0]
                self.compiled += future.result()[1]
        self.seconds += time.perf_counter() - begin
        untried = self._plan.search is not None and len(self.failed) < len(self._plan.groups)
        if self.failed and not self.traced.keys() - self.failed.keys() and not untried:
            raise next(iter(self.failed.values()))
        self._warn()

    def _missing(self, runs: Mapping[int, int]) -> dict[int, list[int]]:
        """For each group that has runs, the devices for which it is to be compiled; none if workers elsewhere do it."""
        if self._plan.on is not None:
            return {nth: [] for nth in runs}
        chunks = {nth: -(-count // self._plan.widths[nth]) for nth, count in runs.items()}
        wanted = places(chunks, self.ready, len(self._plan.devices))
        return {nth: [d for d in devices if d not in self.ready.get(nth, ())] for nth, devices in wanted.items()}

    def _trace(self, nth: int, device: Any, previous: Ledger | None) -> None:
        """Trace the programs of a group unless they are; an error that the task raises is kept."""
        if nth in self.traced:
            return
        plan = self._plan
        try:
            width = plan.widths[nth]
            if nth in plan.widths.errors:
                raise plan.widths.errors[nth]
            program = trace(plan.task, plan.groups[nth], width, device, plan.layout)
        except TaskError:
            raise
        except Exception as error:
            self._fail(nth, error)
            return
        check_scores(plan, program)
        if previous is not None:
            check_program(previous, nth, program)
        self.traced[nth] = program

    def _fail(self, nth: int, error: BaseException) -> None:
        """Keep an error of the task, unless it is none that an exception handler should see."""
        if not isinstance(error, Exception):
            raise error
        columns: dict[str, Any] = next((trial.columns for trial, at, _ in self._plan.placed() if at == nth), {})
        setting = ", ".join(f"{name} {value}" for name, value in columns.items())
        error.add_note(f"raised for {setting or 'a setting'}")
        self.failed[nth] = error

    def _warn(self) -> None:
        """Say once which error keeps some structures from being trained."""
        new = [nth for nth in self.failed if nth not in self._warned]
        if new:
            self._warned |= set(new)
            error = self.failed[new[0]]
            text = f"{count(len(new), 'structure')} of the space cannot be trained; their runs get the status failed. "
            warnings.warn(f"{text}The first one, {error.__notes__[-1]}: {one_line(error)}", stacklevel=2)

    def _say(self, total: int, ready: int, begin: float) -> None:
        if not total:  # of a sweep that is complete, or that is compiled by workers elsewhere
            return
        seconds = time.perf_counter() - begin
        self._report(Progress("compile", total, ready, self._plan.runs, 0, 0, 0, 0.0, 0.0, seconds, None))
