"""Many runs: from a task and a space to a table of results."""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax

from jaxopt_lite.sweeps import _ledger, _results
from jaxopt_lite.sweeps._identity import (
    RESERVED,
    check_program,
    check_same,
    check_scores,
    check_versions,
    facts_of,
    states,
)
from jaxopt_lite.sweeps._layout import Layout
from jaxopt_lite.sweeps._ledger import FINAL, Ledger
from jaxopt_lite.sweeps._lines import Lines
from jaxopt_lite.sweeps._lock import Lock
from jaxopt_lite.sweeps._plan import Plan, plan
from jaxopt_lite.sweeps._program import Programs, Traced, trace
from jaxopt_lite.sweeps._progress import Progress, Tally
from jaxopt_lite.sweeps._results import Results
from jaxopt_lite.sweeps._schedule import Scheduler
from jaxopt_lite.sweeps._trials import Search
from jaxopt_lite.sweeps._unread import check_read
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
    layout: Layout | None = None,
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
    planned = plan(task, space, steps=steps, trials=trials, seeds=seeds, search=search, seed=seed, layout=layout)
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
    _check_note(note)
    if store is None:
        if resume:
            raise ValueError("resume=True needs store=..., the folder of the sweep to resume")
        return _executed(planned, None, None, progress, note)
    lock = _ledger.locked(Path(store), resume)
    try:
        previous = Ledger.open(Path(store), write=False) if resume else None
        return _executed(planned, previous, (Path(store), lock), progress, note)
    finally:
        lock.release(undo=not _ledger.exists(Path(store)))


def _check_note(note: dict[str, Any] | None) -> None:
    json.dumps(note)
    for name in note or {}:
        if name in RESERVED:
            raise ValueError(f"note cannot replace {name!r}, a fact of the sweep itself; give it another name")


def _executed(
    planned: Plan,
    previous: Ledger | None,
    place: tuple[Path, Lock] | None,
    progress: Callable[[Progress], None] | bool,
    note: dict[str, Any] | None,
) -> Results:
    """`execute` for the new ledger at `place`, or the one of which `previous` is a reader.

    Raises:
        ValueError: a score has the name of another column.
    """
    report = Lines(planned.task.objective) if progress is True else progress or (lambda _: None)
    clock = time.perf_counter()
    try:
        done = {row.id for row in previous.rows() if row.status in FINAL} if previous else set()
        facts, comparable = facts_of(planned), True
        remaining = [nth for nth, rows in enumerate(planned.runners()) if any(r.row not in done for r in rows)]
        if previous is not None:
            check_same(previous, planned, facts)
            comparable = check_versions(previous, facts, remaining)
        traced, programs, compiled = _prepared(planned, remaining, report, clock, previous, comparable)
        facts |= {"digests": {str(nth): list(own[0].digests) for nth, own in traced.items()}, **(note or {})}
    finally:
        if previous is not None:
            previous.close()
    compile_seconds = time.perf_counter() - clock
    store, lock = place or (None, None)
    if previous is not None and store is not None:
        ledger = Ledger.open(store, write=True, lock=lock)
        ledger.note(**(note or {}))
    else:
        ledger = Ledger.create(store, facts, planned.rows(), lock)
    try:
        tally = Tally(planned, ledger, report)
        jobs = planned.jobs(states(ledger, planned, traced), tally.finished)
        data = [jax.device_put(planned.task.data, device) for device in planned.devices]
        scheduler = Scheduler(programs, data, planned.steps, planned.task.objective, ledger, planned.workers)
        try:
            scheduler.run(jobs, tally)
        finally:
            before = ledger.facts()
            last = {
                "programs": len({d for nth in remaining for one in traced[nth] for d in one.digests}),
                "compiled": compiled,
                "compile_seconds": compile_seconds,
                "run_seconds": tally.seconds,
                "score_seconds": scheduler.score_seconds,
                "trials": tally.ran,
            }
            total = {k: before.get(k, 0.0) + last[k] for k in ("compile_seconds", "run_seconds")}
            ledger.note(**total, last=last)
        return _results.read(ledger)
    finally:
        ledger.close()


def _prepared(
    planned: Plan,
    remaining: list[int],
    report: Callable[[Progress], None],
    clock: float,
    previous: Ledger | None,
    comparable: bool,
) -> tuple[dict[int, list[Traced]], dict[int, list[Programs]], int]:
    """The traced programs of all groups, the compiled ones of the groups `remaining`, and how many were compiled.

    Both are lists with one entry per device. Programs are traced one after the other in the caller's thread, where the
    caller's settings of JAX hold, and compile in other threads meanwhile. Errors in a task, and programs that differ
    from those of the ledger `previous`, are found here; nothing is written yet. Nothing is traced if the programs are
    not `comparable`, which means that no group remains.
    """
    total, ready = len(remaining) * len(planned.devices), 0
    waiting: dict[Future[tuple[Programs, int]], int] = {}
    traced: dict[int, list[Traced]] = {}
    groups = range(len(planned.groups)) if comparable else []

    def say() -> None:
        seconds = time.perf_counter() - clock
        report(Progress("compile", total, ready, planned.runs, 0, 0, 0, 0.0, 0.0, seconds, None))

    say()
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        for nth in groups:
            for device in planned.devices if nth in remaining else planned.devices[:1]:
                program = trace(planned.task, planned.groups[nth], planned.widths[nth], device, planned.layout)
                check_scores(planned, program)
                traced.setdefault(nth, []).append(program)
                if previous is not None:
                    check_program(previous, nth, program)
                if nth in remaining:
                    waiting[pool.submit(program.compiled)] = nth
        if groups:
            all_traced = [traced[nth][0] for nth in groups]
            check_read(planned, [t.digests for t in all_traced], [t.used for t in all_traced])
        for ready, future in enumerate(as_completed(waiting), start=1):  # noqa: B007 - `say` reports it
            future.result()
            say()
    finally:
        pool.shutdown(cancel_futures=True)
    programs: dict[int, list[Programs]] = {}
    for future, nth in waiting.items():
        programs.setdefault(nth, []).append(future.result()[0])
    return traced, programs, sum(future.result()[1] for future in waiting)
