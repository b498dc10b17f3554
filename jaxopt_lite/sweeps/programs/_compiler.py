"""The programs of a sweep, traced and compiled when runs of their groups come up."""

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps._progress import Progress
from jaxopt_lite.sweeps.programs._program import Programs, Traced, trace
from jaxopt_lite.sweeps.programs._unread import check_read
from jaxopt_lite.sweeps.store._identity import check_program, check_scores
from jaxopt_lite.sweeps.store._ledger import Ledger


class Compiler:
    """The programs of a sweep.

    Attributes:
        traced: for each group traced so far, its programs on each device.
        ready: for each group compiled so far, its executables on each device.
        compiled: number of executables that had to be compiled, because no equal program was compiled before.
        seconds: time spent on tracing and compiling.
    """

    def __init__(self, planned: Plan, report: Callable[[Progress], None]) -> None:
        self._plan, self._report = planned, report
        self.traced: dict[int, list[Traced]] = {}
        self.ready: dict[int, list[Programs]] = {}
        self.compiled = 0
        self.seconds = 0.0

    @property
    def digests(self) -> dict[str, list[str]]:
        """The digests of both programs of each group, by the group's number as text."""
        return {str(nth): list(per_device[0].digests) for nth, per_device in self.traced.items()}

    @property
    def programs(self) -> int:
        """Number of different programs."""
        return len({digest for pair in self.digests.values() for digest in pair})

    @property
    def used(self) -> int:
        """Number of different programs that were made ready to run."""
        return len({digest for nth in self.ready for one in self.traced[nth] for digest in one.digests})

    @property
    def shapes(self) -> dict[int, list[Any]]:
        """For each group, the shapes of the arrays of the state of a chunk."""
        return {nth: per_device[0].carry for nth, per_device in self.traced.items()}

    def prepare(self, groups: Iterable[int], running: Iterable[int], previous: Ledger | None = None) -> None:
        """Trace some groups, and compile those of them that have runs to make.

        Programs are traced one after the other in the caller's thread, where the caller's settings of JAX hold, and
        compile in other threads meanwhile.

        Args:
            groups: numbers of the groups to trace.
            running: numbers of the groups to compile.
            previous: the ledger of which the programs must be, if the sweep is resumed.

        Raises:
            ValueError: the task cannot be traced, its scores cannot be columns, or a setting has no effect.
            StoreError: a program is not that of the ledger.
        """
        devices, begin = self._plan.devices, time.perf_counter()
        to_run = [nth for nth in running if nth not in self.ready]
        to_trace = [nth for nth in dict.fromkeys([*groups, *to_run]) if nth not in self.traced or nth in to_run]
        if not to_trace:
            return
        total, waiting = len(to_run) * len(devices), dict[Future[tuple[Programs, int]], int]()
        self._say(total, 0, begin)
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            for nth in to_trace:
                self.traced[nth] = []
                for device in devices if nth in to_run else devices[:1]:
                    self.traced[nth].append(self._traced(nth, device, previous))
                    if nth in to_run:
                        waiting[pool.submit(self.traced[nth][-1].compiled)] = nth
            check_read(self._plan, self.traced)
            for ready, future in enumerate(as_completed(waiting), start=1):
                future.result()
                self._say(total, ready, begin)
        finally:
            pool.shutdown(cancel_futures=True)
        for future, nth in waiting.items():
            self.ready.setdefault(nth, []).append(future.result()[0])
        self.compiled += sum(future.result()[1] for future in waiting)
        self.seconds += time.perf_counter() - begin

    def _traced(self, nth: int, device: Any, previous: Ledger | None) -> Traced:
        plan = self._plan
        program = trace(plan.task, plan.groups[nth], plan.widths[nth], device, plan.layout)
        check_scores(plan, program)
        if previous is not None:
            check_program(previous, nth, program)
        return program

    def _say(self, total: int, ready: int, begin: float) -> None:
        seconds = time.perf_counter() - begin
        self._report(Progress("compile", total, ready, self._plan.runs, 0, 0, 0, 0.0, 0.0, seconds, None))
