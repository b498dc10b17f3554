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
    """Train every trial of a space with every seed.

    Trials of one structure share a compiled program, in which their numbers are data. On CPU a run is bitwise identical
    whichever trials run beside it, and after any interruption, for the same model, CPU type and versions of JAX.

    Args:
        task: the training problem, from `training.supervised`, `training.builtin` or `training.Task`.
        space: a pytree with `log_uniform`, `uniform`, `integers` and `values` at its leaves and `choice` in its
            structure. Drawn numbers, and the numbers inside optimizers, schedules and bound activations, are data.
            Plain values (numbers, strings, functions) are static; each one compiles its own program.
        steps: updates in a run, at least 1.
        trials: number of points of the space, at least 1. Default: all points of its grid, which then must be finite.
        seeds: number of seeds, or a list of different seeds from 0 to 2³² − 1. Each trial runs with each. A seed
            decides initialisation, order of the data and dropout, the same for all trials. Default: 1.
        store: a folder for the ledger, which must not hold one. Default: the ledger is kept in memory.
        resume: continue the sweep in `store` instead. Its arguments must match. Default: False.
        search: `"grid"` (all points), `"random"`, or `"quasi-random"` (scrambled Sobol points, which leave fewer gaps).
            Default: `"grid"` without `trials`, else `"random"`, which gives the grid if it has at most `trials` points.
        seed: decides which points of the space are drawn. Default: 0.
        layout: devices, width of a chunk, merging and form of the start; see `Layout`. Default: as the backend needs.
        progress: True prints a line to standard error at once and every 5 seconds, False prints nothing; a function is
            called with a `Progress` while programs compile and after each segment.
        note: facts to keep in the ledger, values that JSON can hold, by names that the sweep does not use.

    Returns:
        The table, with one row per trial and seed. A run whose loss or objective becomes NaN or infinite has status
        `diverged` and no scores.

    Raises:
        ValueError: an argument is out of range; a setting that varies has no effect on the task; or the task gives a
            score with the name of another column, or needs a drawn number while its program is built.
        StoreError: `store` holds a sweep and `resume` is False, or it holds none or another one and `resume` is True,
            or another process is running it. The store is unchanged. A `ValueError`.
        TypeError: a leaf of the space is neither a number nor hashable, or `note` holds what JSON cannot.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxopt_lite import sweeps, training
        >>> def step(trial, w, data, key):  # gradient descent on w²
        ...     return w - trial["rate"] * 2 * w, {"loss": w**2}
        >>> scores = lambda trial, w, data: {"test_loss": w**2}
        >>> task = training.Task(lambda trial, key: jnp.float32(1.0), step, scores, None)
        >>> results = sweeps.run(task, {"rate": sweeps.values([0.25, 0.75, 1.5])}, steps=200, progress=False)
        >>> results.columns["status"]
        ['done', 'done', 'diverged']
    """
    if store is not None:
        _ledger.check(Path(store), resume)
    elif resume:
        raise ValueError("resume=True needs store=..., the folder of the sweep to resume")
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
    """Run a plan. `run(task, space, ...)` is `execute(plan(task, space, ...), ...)`.

    Args:
        planned: what `plan` returned.
        store: a folder for the ledger, which must not hold one. Default: the ledger is kept in memory.
        resume: continue the sweep in `store` instead, which must be that of the plan. Default: False.
        progress: True prints a line to standard error at once and every 5 seconds, False prints nothing; a function is
            called with a `Progress` while programs compile and after each segment.
        note: facts to keep in the ledger, values that JSON can hold, by names that the sweep does not use.

    Returns:
        The table, with one row per trial and seed.

    Raises:
        ValueError: a setting that varies has no effect on the task; the task gives a score with the name of another
            column, or needs a drawn number while its program is built; or `note` names a fact of the sweep.
        StoreError: `store` holds a sweep and `resume` is False, or it holds none or another one and `resume` is True,
            or another process is running it. The store is unchanged. A `ValueError`.
        TypeError: `note` holds what JSON cannot.

    Example:
        >>> from jaxopt_lite import optimizers as opt, sweeps, training
        >>> from jaxopt_lite.activations import tanh
        >>> space = {"activation": tanh, "optimizer": opt.sgd(sweeps.values([0.1, 1.0]))}
        >>> planned = sweeps.plan(training.builtin("spirals"), space, steps=20)
        >>> print(planned.runs, planned.structures)
        2 1
        >>> sweeps.execute(planned, progress=False).columns["learning_rate"]
        [0.1, 1.0]
    """
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
        lock.release(undo=True)  # only if no ledger was opened for writing: that one has released it


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
        digests = {str(nth): list(per_device[0].digests) for nth, per_device in traced.items()}
        facts |= {"digests": digests, "programs": len({d for pair in digests.values() for d in pair})}
        facts |= note or {}
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
