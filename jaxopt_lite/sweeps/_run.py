"""Many runs: from a task and a space to a table of results."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax

from jaxopt_lite.sweeps import _ledger, _results
from jaxopt_lite.sweeps._identity import check_programs, check_same, facts_of, states
from jaxopt_lite.sweeps._ledger import FINAL, Ledger
from jaxopt_lite.sweeps._lines import Lines
from jaxopt_lite.sweeps._plan import Plan, plan
from jaxopt_lite.sweeps._program import Programs, Traced, trace
from jaxopt_lite.sweeps._progress import Progress, Tally
from jaxopt_lite.sweeps._results import Results
from jaxopt_lite.sweeps._schedule import Scheduler
from jaxopt_lite.sweeps._trials import Search
from jaxopt_lite.training import Task


def run(
    task: Task,
    space: Any,
    *,
    steps: int,
    trials: int | None = None,
    seeds: int | Sequence[int] = 1,
    store: str | Path | None = None,
    resume: bool = False,
    search: Search | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | bool = True,
    note: dict[str, Any] | None = None,
) -> Results:
    """Train every trial of a space with every seed, and give the table.

    Args:
        task: what is trained (`training.supervised(...)`, or any `training.Task`).
        space: a pytree with `log_uniform`, `uniform`, `integers`, `values` at its leaves and `choice` in its structure.
            What is drawn, and the numbers inside optimizers, schedules and bound activations, are data: one program
            serves all their values. What is written as it is (numbers, texts, functions) is structure.
        steps: updates a run.
        trials: how many points of the space; left out, its whole grid.
        seeds: how many, or which: each trial is run with each. A seed decides initialisation and data order.
        store: a folder for the ledger; None keeps it in memory.
        resume: go on with the sweep in `store`, which must be the same one, instead of starting it.
        search: `"grid"`, `"random"` or `"quasi-random"`; see `enumerate_trials`.
        seed: decides which points of the space are drawn.
        progress: True prints a line to standard error at once and every few seconds, False nothing; a function is told
            of every step of progress (a `Progress`).
        note: facts to keep in the ledger beside the sweep's own.

    Returns:
        The results; a run that left the finite numbers is a row with status `diverged`.

    A trial's numbers depend on its own leaves and seed, the model and the versions of JAX alone: on a CPU they are
    the same bits in any company, after any interruption.

    Raises:
        ValueError: settings out of range, a store that exists without `resume` or holds another sweep.
        TypeError: a space with leaves that cannot be compared.
    """
    if store is not None:
        _ledger.check(Path(store), resume)
    elif resume:
        raise ValueError("resume=True needs store=..., the folder of the sweep to go on with")
    planned = plan(task, space, steps=steps, trials=trials, seeds=seeds, search=search, seed=seed)
    return execute(planned, store=store, resume=resume, progress=progress, note=note)


def execute(
    planned: Plan,
    *,
    store: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | bool = True,
    note: dict[str, Any] | None = None,
) -> Results:
    """Carry out a plan; the arguments are those of `run`."""
    where = Path(store) if store is not None else None
    if where is not None:
        _ledger.check(where, resume)
    tell = Lines(planned.task.objective) if progress is True else progress or (lambda _: None)
    clock = time.perf_counter()
    ledger = Ledger.open(where, write=True) if resume and where else None
    try:
        if ledger is not None:
            check_same(ledger, planned)
        left = _left(planned, ledger)
        traced, programs, compiled = _prepared(planned, left, tell, clock)
        facts = facts_of(planned, traced) | (note or {})
        if ledger is not None:
            check_programs(ledger, facts)
        compile_seconds = time.perf_counter() - clock
        if ledger is None:
            ledger = Ledger.create(where, facts, planned.rows())
        tally = Tally(planned, ledger, tell)
        jobs = planned.jobs(states(ledger, planned, traced), tally.over)
        data = [jax.device_put(planned.task.data, device) for device in planned.devices]
        try:
            Scheduler(programs, data, planned.steps, ledger, planned.workers).run(jobs, tally)
        finally:
            before = ledger.facts()
            last = {
                "programs": len({d for own in traced.values() for one in own for d in one.digests}),
                "compiled": compiled,
                "compile_seconds": compile_seconds,
                "run_seconds": tally.seconds,
                "trials": tally.ran,
            }
            whole = {k: before.get(k, 0.0) + last[k] for k in ("compile_seconds", "run_seconds")}
            ledger.note(**whole, last=last)
        return _results.read(ledger)
    finally:
        if ledger is not None:
            ledger.close()


def _left(planned: Plan, ledger: Ledger | None) -> list[int]:
    """The groups that still have something to run."""
    over = {row.id for row in ledger.rows() if row.status in FINAL} if ledger is not None else set()
    rows = planned.runners()
    return [nth for nth, own in enumerate(rows) if any(row.row not in over for row in own)]


def _prepared(
    planned: Plan, left: list[int], tell: Callable[[Progress], None], clock: float
) -> tuple[dict[int, list[Traced]], dict[int, list[Programs]], int]:
    """The programs of some groups for each device, traced and compiled, and how many had to be compiled.

    They are traced one after the other in the caller's thread, where the caller's settings of JAX hold, and compile in
    others meanwhile. Mistakes in a task show here; nothing is written yet.
    """
    total, ready = len(left) * len(planned.devices), 0
    waiting: dict[Future[tuple[Programs, int]], int] = {}
    traced: dict[int, list[Traced]] = {}

    def say() -> None:
        seconds = time.perf_counter() - clock
        tell(Progress("compile", total, ready, planned.runs, 0, 0, 0, 0.0, 0.0, seconds, None))

    say()
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        for nth in left:
            for device in planned.devices:
                program = trace(planned.task, planned.groups[nth], planned.widths[nth], device)
                traced.setdefault(nth, []).append(program)
                waiting[pool.submit(program.compiled)] = nth
        for ready, future in enumerate(as_completed(waiting), start=1):  # noqa: B007 - `say` tells of it
            future.result()
            say()
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, what has not begun to compile never will
    programs: dict[int, list[Programs]] = {}
    for future, nth in waiting.items():
        programs.setdefault(nth, []).append(future.result()[0])
    return traced, programs, sum(future.result()[1] for future in waiting)
