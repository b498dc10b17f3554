"""Many runs: from a task and a space to a table of results."""

import json
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import jax

from jaxopt_lite._names import count
from jaxopt_lite.sweeps._arguments import On
from jaxopt_lite.sweeps._lines import Lines
from jaxopt_lite.sweeps._plan import Plan, plan
from jaxopt_lite.sweeps._progress import Progress, Tally
from jaxopt_lite.sweeps.execution._pool import Pool
from jaxopt_lite.sweeps.execution._portable import Setup
from jaxopt_lite.sweeps.execution._rounds import Best, Rounds, assigned
from jaxopt_lite.sweeps.execution._schedule import Scheduler
from jaxopt_lite.sweeps.execution._threads import Threads
from jaxopt_lite.sweeps.execution._work import one_line
from jaxopt_lite.sweeps.programs._compiler import Compiler
from jaxopt_lite.sweeps.programs._layout import Layout
from jaxopt_lite.sweeps.results import _results
from jaxopt_lite.sweeps.results._results import Results
from jaxopt_lite.sweeps.spaces._trials import Search
from jaxopt_lite.sweeps.store import _ledger
from jaxopt_lite.sweeps.store._extend import growth
from jaxopt_lite.sweeps.store._identity import RESERVED, check_same, check_versions, facts_of
from jaxopt_lite.sweeps.store._ledger import FINAL, Ledger, Row
from jaxopt_lite.sweeps.store._lock import Lock
from jaxopt_lite.sweeps.strategies import Optuna, Population, Stop
from jaxopt_lite.training import Task

# What a call that trains nothing notes of itself.
_NOTHING = {
    "programs": 0,
    "compiled": 0,
    "compile_seconds": 0.0,
    "run_seconds": 0.0,
    "score_seconds": 0.0,
    "trials": 0,
    "steps": 0,
    "slots": 1.0,
    "workers_lost": 0,
}


def run(
    task: Task,
    space: Any,
    *,
    steps: int,
    trials: int | None = None,
    seeds: int | Sequence[int] = 1,
    store: str | Path | None = None,
    resume: bool = False,
    extend: bool = False,
    search: Search | Optuna | Population | None = None,
    stop: Stop | None = None,
    confirm: tuple[int, int] | None = None,
    keep: int | Literal["all"] = 1,
    seed: int = 0,
    layout: Layout | None = None,
    on: On | None = None,
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
        resume: continue the sweep in `store`, and try again what failed; its arguments must match. Default: False.
        extend: continue the sweep in `store` with more trials, seeds or steps than it has; what is finished keeps its
            numbers. All else must match. Default: False.
        search: `"grid"` (all points), `"random"`, `"quasi-random"` (scrambled Sobol points, which leave fewer gaps),
            `"tpe"` or `optuna(...)` (a sampler of Optuna, which learns from the trials before), or `population(...)`
            (settings change during training). Default: `"grid"` without `trials`, else `"random"`, which gives the grid
            if it has at most `trials` points.
        stop: which trials stop early: `halving(...)`, `hyperband(...)` or `median(...)`. Their runs get the status
            `pruned`. Default: every run goes to its last step.
        confirm: `(k, n)` runs the best k settings with n further seeds, which took no part in their selection, when
            all else is finished; see `Results.confirmed`. Default: none.
        keep: of how many of the best settings the final states are kept, for `Results.model`, or `"all"`. Default: 1.
        seed: decides which points of the space are drawn. Default: 0.
        layout: devices, width of a chunk, merging and form of the start; see `Layout`. Default: as the backend needs.
        on: what trains: `processes(...)` of this machine or the workers of a cluster, `ray(...)`. Default: this
            process, on all cores or devices.
        progress: True prints a line to standard error at once and every 5 seconds, False prints nothing; a function is
            called with a `Progress` while programs compile and after each segment.
        note: facts to keep in the ledger, values that JSON can hold, by names that the sweep does not use.

    Returns:
        The table, with one row per trial and seed. A run whose loss or objective becomes NaN or infinite has status
        `diverged` and no scores. One in which the task raises an error, or with which three workers are lost, has
        status `failed`, and the error is in `Results.errors`; the sweep goes on.

    Raises:
        ValueError: an argument is out of range; the task's stream has fewer steps; a setting that varies has no effect
            on the task; or the task gives a score with the name of another column, or needs a drawn number while its
            program is built.
        Exception: every run fails; that of the first one.
        StreamError: the batches of the task's stream cannot be read. What is in `store` can be resumed.
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
        _ledger.check(Path(store), resume or extend)
    elif resume or extend:
        raise _without_store(extend)
    planned = plan(
        task,
        space,
        steps=steps,
        trials=trials,
        seeds=seeds,
        search=search,
        stop=stop,
        confirm=confirm,
        keep=keep,
        seed=seed,
        layout=layout,
        on=on,
    )
    return execute(planned, store=store, resume=resume, extend=extend, progress=progress, note=note)


def execute(
    planned: Plan,
    *,
    store: str | Path | None = None,
    resume: bool = False,
    extend: bool = False,
    progress: Callable[[Progress], None] | bool = True,
    note: dict[str, Any] | None = None,
) -> Results:
    """Run a plan. `run(task, space, ...)` is `execute(plan(task, space, ...), ...)`.

    Args:
        planned: what `plan` returned.
        store: a folder for the ledger, which must not hold one. Default: the ledger is kept in memory.
        resume: continue the sweep in `store` instead, which must be that of the plan. Default: False.
        extend: continue the sweep in `store`, of which the plan has more trials, seeds or steps. Default: False.
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
        if resume or extend:
            raise _without_store(extend)
        return _executed(planned, None, None, False, progress, note)
    lock = _ledger.locked(Path(store), resume or extend)
    try:
        previous = Ledger.open(Path(store), write=False) if resume or extend else None
        return _executed(planned, previous, (Path(store), lock), extend, progress, note)
    finally:
        lock.release(undo=True)  # only if no ledger was opened for writing: that one has released it


def _without_store(extend: bool) -> ValueError:
    name = "extend" if extend else "resume"
    return ValueError(f"{name}=True needs store=..., the folder of the sweep to {name}")


def _check_note(note: dict[str, Any] | None) -> None:
    json.dumps(note)
    for name in note or {}:
        if name in RESERVED:
            raise ValueError(f"note cannot replace {name!r}, a fact of the sweep itself; give it another name")


def _executed(
    planned: Plan,
    previous: Ledger | None,
    place: tuple[Path, Lock] | None,
    grow: bool,
    progress: Callable[[Progress], None] | bool,
    note: dict[str, Any] | None,
) -> Results:
    """`execute` for the new ledger at `place`, or the one of which `previous` is a reader.

    Raises:
        ValueError: a score has the name of another column.
    """
    report = Lines(planned.task.objective) if progress is True else progress or (lambda _: None)
    if previous is not None:
        facts = previous.facts()
        known = {int(nth): width for nth, width in facts.get("group_widths", {}).items()}
        planned = planned._replace(widths=planned.widths.of_ledger(known), unit=facts["stride"])
    compiler = Compiler(planned, report)
    ledger, sent, comparable = _opened(planned, compiler, previous, place, grow, note)
    try:
        if comparable:
            _trained(planned, compiler, ledger, report, sent)
        else:  # no run remains
            Tally(planned, ledger, report).end()
            ledger.note(last=_NOTHING)
        return _results.read(ledger, planned.task, planned.space)
    finally:
        ledger.close()


def _opened(
    planned: Plan,
    compiler: Compiler,
    previous: Ledger | None,
    place: tuple[Path, Lock] | None,
    grow: bool,
    note: dict[str, Any] | None,
) -> tuple[Ledger, Setup | None, bool]:
    """The ledger, open for writing, what workers elsewhere need, and whether runs of it can be made here.

    Nothing is written before everything has been checked.
    """
    grown = None
    try:
        facts, comparable = facts_of(planned), True
        if previous is None:
            rows = planned.rows(planned.points, planned.seeds, 0, 0, 0)
        else:
            check_same(previous, planned, facts, extend=grow)
            rows = previous.rows()
        groups = assigned(planned, rows)
        remaining = [groups[row.trial] for row in rows if row.status not in FINAL]
        if grow:  # what is added may belong to any group
            remaining = planned.used
        if previous is not None:
            rounds = Rounds(planned, previous, Best(planned, previous))
            comparable = check_versions(previous, facts, lambda: bool(remaining) or rounds.adds())
            if not comparable:
                _warn_of_states(previous, len(rounds.without_state()))
        failed = _failed(previous, comparable) if previous is not None else []
        remaining = [*remaining, *(groups[row.trial] for row in failed)]
        if comparable:  # otherwise no run remains
            compiler.prepare(sorted(set(groups.values())), remaining, previous)
        sent = planned.on.setup(planned) if planned.on is not None and comparable else None
        facts |= {"digests": compiler.digests, "programs": compiler.programs}
        facts |= note or {}
        if grow and previous is not None:
            grown = growth(previous, planned, facts)
    finally:
        if previous is not None:
            previous.close()
    store, lock = place or (None, None)
    if previous is not None and store is not None:
        ledger = Ledger.open(store, write=True, lock=lock)
        ledger.revive([row.id for row in failed])
        if grown is not None:
            ledger.extend(grown)
        ledger.note(**(note or {}))
    else:
        ledger = Ledger.create(store, facts, rows, lock)
    return ledger, sent, comparable


def _warn_of_states(ledger: Ledger, missing: int) -> None:
    if missing:
        warnings.warn(
            f"the final states of {count(missing, 'run')} of {ledger.store}, which are to be kept, cannot be made "
            "here: the sweep was started with other versions, or on another kind of device",
            stacklevel=2,
        )


def _failed(ledger: Ledger, comparable: bool) -> list[Row]:
    """The failed runs that can begin again; warns if there are some and runs of the ledger cannot be made here."""
    copies = ledger.copies()
    failed = [row for row in ledger.rows() if row.status == "failed" and row.id not in copies]
    if failed and not comparable:
        warnings.warn(
            f"{count(len(failed), 'failed run')} of {ledger.store} cannot be tried again here: the sweep was started "
            "with other versions, or on another kind of device",
            stacklevel=2,
        )
    return failed if comparable else []


def _trained(
    planned: Plan, compiler: Compiler, ledger: Ledger, report: Callable[[Progress], None], sent: Setup | None
) -> None:
    """Make the runs that remain, and note what that took."""
    clock, prepared = time.perf_counter(), compiler.seconds
    executor = _executor(planned, compiler, sent)
    tally = Tally(planned, ledger, report, lambda: executor.lost)
    best = Best(planned, ledger)
    rounds, keeps = Rounds(planned, ledger, best), best.keeps if planned.keep else None
    scheduler = Scheduler(executor, planned.widths, planned.steps, planned.task.objective, ledger, keeps, planned.unit)
    ended = False
    try:
        while runs := rounds.next():
            coming = [rounds.group_of(row) for row, _ in runs]
            compiler.prepare(coming, coming)
            _note_programs(planned, compiler, ledger)
            tally.begin(runs)
            jobs = rounds.jobs(_without_failed(runs, rounds, compiler, ledger, tally), compiler.shapes)
            del runs  # of a large sweep these take much memory
            scheduler.run(jobs, tally)
            del jobs
        tally.end()
        ended = True
    finally:
        executor.close()
        before = ledger.facts()
        last = {
            "programs": compiler.used,
            "compiled": compiler.compiled,
            "compile_seconds": compiler.seconds,
            "run_seconds": time.perf_counter() - clock - (compiler.seconds - prepared),
            "score_seconds": scheduler.score_seconds,
            "trials": tally.ran,
            "steps": tally.steps_ran,
            "slots": scheduler.slots,
            "workers_lost": executor.lost,
        }
        total = {k: before.get(k, 0.0) + last[k] for k in ("compile_seconds", "run_seconds")}
        # where writing has failed an error says so already; a second one would take its place
        with nullcontext() if ended else suppress(_ledger.StoreError):
            ledger.note(**total, last=last)


def _without_failed(
    runs: list[tuple[Row, int]], rounds: Rounds, compiler: Compiler, ledger: Ledger, tally: Tally
) -> list[tuple[Row, int]]:
    """The runs of structures that can be trained; that the others have failed is written."""
    errors = {nth: one_line(error) for nth, error in compiler.failed.items()}
    placed = [(row, step, rounds.group_of(row)) for row, step in runs]
    failures = [(row.id, row.step, errors[nth]) for row, _, nth in placed if nth in errors]
    if failures:
        tally(ledger.fail(failures), 0)
    return [(row, step) for row, step, nth in placed if nth not in errors]


def _executor(planned: Plan, compiler: Compiler, sent: Setup | None) -> Pool | Threads:
    """What trains."""
    if planned.on is not None and sent is not None:
        return planned.on.open(sent, compiler.recipe)
    data = [jax.device_put(planned.task.data, device) for device in planned.devices]
    return Threads(compiler.ready, data, planned.workers)


def _note_programs(planned: Plan, compiler: Compiler, ledger: Ledger) -> None:
    """Note the programs of groups that the ledger has not had yet, before their first run is written."""
    before, digests = ledger.facts(), compiler.digests
    if digests.keys() - before["digests"].keys():
        digests = {**before["digests"], **digests}
        widths = {**before.get("group_widths", {}), **{nth: planned.widths[int(nth)] for nth in compiler.digests}}
        programs = len({digest for pair in digests.values() for digest in pair})
        ledger.note(digests=digests, group_widths=widths, programs=programs)
