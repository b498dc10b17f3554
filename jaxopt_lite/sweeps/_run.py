"""Many runs: from a task and a space to a table of results."""

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import numpy as np
import optax

from jaxopt_lite.sweeps import _ledger, _results, _width
from jaxopt_lite.sweeps._ledger import Ledger, Outcome, Row, StoreError
from jaxopt_lite.sweeps._plan import Group, Member, grouped
from jaxopt_lite.sweeps._program import Chunk, Programs, Traced, stride, trace, width_of
from jaxopt_lite.sweeps._results import Results
from jaxopt_lite.sweeps._schedule import Job, Runner, Scheduler
from jaxopt_lite.sweeps._trials import Search, Trial, enumerate_trials
from jaxopt_lite.training import Task


class Progress(NamedTuple):
    """How far a sweep is; told while programs compile and after every segment.

    `best` is the best finished run so far, as its columns with seed and score.
    """

    phase: str  # "compile" or "run"
    programs: int
    programs_ready: int
    trials: int
    trials_done: int
    trials_diverged: int
    share: float  # of all steps
    seconds: float  # since this phase began
    best: dict[str, Any] | None


class Plan(NamedTuple):
    """What a sweep will do: its trials, and how they are packed into programs and chunks. Print it."""

    task: Task
    trials: list[Trial]
    seeds: tuple[int, ...]
    steps: int
    groups: list[Group]
    widths: list[int]
    devices: list[Any]
    workers: int

    @property
    def runs(self) -> int:
        """Trials times seeds."""
        return len(self.trials) * len(self.seeds)

    @property
    def structures(self) -> int:
        """Different structures among the trials, that is programs without merging."""
        return sum(group.structures for group in self.groups)

    @property
    def chunks(self) -> list[int]:
        """Chunks of each group."""
        return [len(_chunks(rows, width)) for rows, width in zip(self._runners(), self.widths, strict=True)]

    def __str__(self) -> str:
        device = self.devices[0]
        lines = [
            f"task      {self.task.name}, {self.steps} steps a run, ranked by {self.task.objective} ({self.task.mode})",
            f"trials    {len(self.trials)} settings × {len(self.seeds)} seeds = {self.runs} runs",
            f"programs  {len(self.groups)} training programs for {self.structures} structures; those of equal "
            "initialisation share its program",
            f"chunks    {sum(self.chunks)} of {'/'.join(map(str, dict.fromkeys(self.widths)))} runs, "
            f"{self.workers} at a time on {device.device_kind if device.platform != 'cpu' else 'CPU cores'}",
        ]
        return "\n".join(lines)

    def jobs(self, begun: dict[int, tuple[int, list[np.ndarray], dict[str, np.ndarray]]], over: set[int]) -> list[Job]:
        """The chunks to run: those that are under way first, then what is untouched; `over` are rows that are done."""
        jobs = []
        for nth, (rows, width) in enumerate(zip(self._runners(), self.widths, strict=True)):
            left = [row for row in rows if row.row not in over]
            for chunk in _chunks([row for row in left if row.row in begun], width, lambda row: begun[row.row][0]):
                states = [begun[row.row] for row in chunk]
                carry = [np.stack(arrays) for arrays in zip(*(arrays for _, arrays, _ in states), strict=True)]
                sums = {name: np.stack([s[name] for _, _, s in states]) for name in states[0][2]}
                jobs.append(Job(nth, tuple(chunk), states[0][0], Chunk(carry, sums)))
            jobs += [Job(nth, tuple(c), 0, None) for c in _chunks([row for row in left if row.row not in begun], width)]
        return sorted(jobs, key=lambda job: job.state is None)

    def rows(self) -> list[Row]:
        """The rows of a new ledger."""
        own = [(trial.columns, seed) for trial in self.trials for seed in self.seeds]
        return [Row(i, columns, seed, "waiting", 0) for i, (columns, seed) in enumerate(own)]

    def _runners(self) -> list[list[Runner]]:
        each = len(self.seeds)
        return [
            [Runner(m.trial * each + i, seed, m) for m in group.members for i, seed in enumerate(self.seeds)]
            for group in self.groups
        ]


def plan(
    task: Task,
    space: Any,
    *,
    steps: int,
    trials: int | None = None,
    seeds: int | Sequence[int] = 1,
    search: Search | None = None,
    seed: int = 0,
) -> Plan:
    """What `run` would do with these arguments; nothing is compiled or written, except on an accelerator (see below).

    The width of a chunk on an accelerator comes from two small trial compilations.

    Raises:
        ValueError, TypeError: as `run`.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
    found = enumerate_trials(space, trials, search, seed)
    devices = jax.local_devices() if jax.default_backend() != "cpu" else jax.local_devices()[:1]
    groups = grouped([trial.value for trial in found], merge=devices[0].platform == "cpu")
    widths = [width_of(task, group, devices[0]) for group in groups]
    busy = _width.workers(devices[0].platform)
    return Plan(task, found, _seeds(seeds), int(steps), groups, widths, devices, busy)


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
    progress: Callable[[Progress], None] | None = None,
    note: dict[str, Any] | None = None,
) -> Results:
    """Train every trial of a space with every seed, and give the table.

    Args:
        task: what is trained (`training.supervised(...)`, or any `training.Task`).
        space: a pytree with `log_uniform`, `uniform`, `integers`, `values` at its leaves and `choice` in its structure.
            Floats and arrays are data: one program serves all their values. Whole Python numbers, texts, functions and
            truth values outside of distributions are structure.
        steps: updates a run.
        trials: how many points of the space; left out, its whole grid.
        seeds: how many, or which: each trial is run with each. A seed decides initialisation and data order.
        store: a folder for the ledger; None keeps it in memory.
        resume: go on with the sweep in `store`, which must be the same one, instead of starting it.
        search: `"grid"`, `"random"` or `"quasi-random"`; see `enumerate_trials`.
        seed: decides which points of the space are drawn.
        progress: is told how far the sweep is.
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
        _check_store(Path(store), resume)
    planned = plan(task, space, steps=steps, trials=trials, seeds=seeds, search=search, seed=seed)
    return execute(planned, store=store, resume=resume, progress=progress, note=note)


def execute(
    planned: Plan,
    *,
    store: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    note: dict[str, Any] | None = None,
) -> Results:
    """Carry out a plan; the arguments are those of `run`."""
    where = Path(store) if store is not None else None
    if where is not None:
        _check_store(where, resume)
    tell = progress or (lambda _: None)
    clock = time.perf_counter()
    traced = _traced(planned)
    facts = _facts(planned, traced) | (note or {})
    ledger = _resumed(where, planned, facts) if resume and where else None
    try:
        programs, compiled = _compiled(planned, traced, tell, clock)
        compile_seconds = time.perf_counter() - clock
        if ledger is None:
            ledger = Ledger.create(where, facts, planned.rows())
        tally = _Tally(planned, ledger, tell)
        jobs = planned.jobs(_begun(ledger, planned, traced), tally.over)
        data = [jax.device_put(planned.task.data, device) for device in planned.devices]
        scheduler = Scheduler(programs, data, planned.steps, ledger, planned.workers)
        try:
            scheduler.run(jobs, tally)
        finally:
            before = ledger.facts()
            ledger.note(
                compile_seconds=before.get("compile_seconds", 0.0) + compile_seconds,
                run_seconds=before.get("run_seconds", 0.0) + tally.seconds,
                last={
                    "programs": facts["programs"],
                    "compiled": compiled,
                    "compile_seconds": compile_seconds,
                    "run_seconds": tally.seconds,
                    "trials": tally.ran,
                },
            )
        return _results.read(ledger)
    finally:
        if ledger is not None:
            ledger.close()


class _Tally:
    """Counts what is done and tells it."""

    def __init__(self, planned: Plan, ledger: Ledger, tell: Callable[[Progress], None]) -> None:
        self._plan, self._tell = planned, tell
        rows, scores = ledger.rows(), ledger.scores()
        self._rows = {row.id: row for row in rows}
        self.over = {row.id for row in rows if row.status in ("done", "diverged")}
        self._before = len(self.over)
        self._diverged = sum(row.status == "diverged" for row in rows)
        self._steps = sum(planned.steps if row.id in self.over else row.step for row in rows)
        self._best: tuple[float, int] | None = None
        for row in rows:
            self._consider(row.id, scores.get(row.id, {}))
        self._begun = time.perf_counter()
        self._say()

    @property
    def ran(self) -> int:
        """Trials that came to their end since."""
        return len(self.over) - self._before

    @property
    def seconds(self) -> float:
        """Since the first segment began."""
        return time.perf_counter() - self._begun

    def __call__(self, outcomes: list[Outcome], steps: int) -> None:
        self._steps += steps
        for outcome in outcomes:
            if outcome.status == "diverged":
                self._diverged += 1
                self._steps += self._plan.steps - outcome.step
            if outcome.status != "running":
                self.over.add(outcome.id)
                self._consider(outcome.id, outcome.scores)
        self._say()

    def _consider(self, row: int, scores: dict[str, float]) -> None:
        score = scores.get(self._plan.task.objective)
        if score is None or not np.isfinite(score):
            return
        better = score if self._plan.task.mode == "max" else -score
        if self._best is None or better > self._best[0]:
            self._best = (better, row)

    def _say(self) -> None:
        total, best = self._plan.runs, None
        if self._best is not None:
            row = self._rows[self._best[1]]
            score = self._best[0] if self._plan.task.mode == "max" else -self._best[0]
            best = {**row.columns, "seed": row.seed, self._plan.task.objective: score}
        share = self._steps / (total * self._plan.steps)
        ready = len(self._plan.groups)
        self._tell(Progress("run", ready, ready, total, len(self.over), self._diverged, share, self.seconds, best))


def _traced(planned: Plan) -> list[list[Traced]]:
    """The programs of each group for each device, lowered. Mistakes in a task show here, before anything is written."""
    with ThreadPoolExecutor(planned.workers) as pool:
        waiting = [
            [pool.submit(trace, planned.task, group, width, device) for device in planned.devices]
            for group, width in zip(planned.groups, planned.widths, strict=True)
        ]
        return [[future.result() for future in own] for own in waiting]


def _compiled(
    planned: Plan, traced: list[list[Traced]], tell: Callable[[Progress], None], clock: float
) -> tuple[list[list[Programs]], int]:
    flat = [program for own in traced for program in own]

    def say(ready: int) -> None:
        seconds = time.perf_counter() - clock
        tell(Progress("compile", len(flat), ready, planned.runs, 0, 0, 0.0, seconds, None))

    say(0)
    with ThreadPoolExecutor(max(planned.workers, os.cpu_count() or 1)) as pool:
        waiting = [pool.submit(program.compiled) for program in flat]
        for ready, _ in enumerate(as_completed(waiting), start=1):
            say(ready)
        done = [future.result() for future in waiting]
    each = len(planned.devices)
    programs = [[one for one, _ in done[i : i + each]] for i in range(0, len(done), each)]
    return programs, sum(new for _, new in done)


def _begun(ledger: Ledger, planned: Plan, traced: list[list[Traced]]) -> dict[int, Any]:
    """The state of trials under way: step, the arrays of the carry, the sums of the curve."""
    each = len(planned.seeds)
    specs = {m.trial: traced[g][0].carry for g, group in enumerate(planned.groups) for m in group.members}
    sums = ledger.sums()
    found = {}
    for row, step, blob in ledger.carries():
        arrays, at = [], 0
        for spec in specs[row // each]:
            size = int(np.prod(spec.shape[1:])) * spec.dtype.itemsize
            arrays.append(
                np.frombuffer(blob, spec.dtype, offset=at, count=size // spec.dtype.itemsize).reshape(spec.shape[1:])
            )
            at += size
        if at != len(blob):
            raise StoreError(f"the state of run {row} in {ledger.store} is not that of this task's carry")
        found[row] = (step, arrays, {name: np.array(s) for name, s in sums[row].items()})
    return found


def _facts(planned: Plan, traced: list[list[Traced]]) -> dict[str, Any]:
    task = planned.task
    programs = {program.digest for own in traced for one in own for program in (one.start, one.segment)}
    return {
        "task": task.name,
        "objective": task.objective,
        "mode": task.mode,
        "steps": planned.steps,
        "stride": stride(planned.steps),
        "seeds": list(planned.seeds),
        "columns": list(planned.trials[0].columns),
        "settings": len(planned.trials),
        "structures": planned.structures,
        "programs": len(programs),
        "widths": planned.widths,
        "digests": [own[0].segment.digest for own in traced],
        "data": _digest(task.data),
        "device": f"{planned.devices[0].platform}: {planned.devices[0].device_kind}",
        "workers": planned.workers,
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "flax": flax.__version__,
            "optax": optax.__version__,
        },
    }


def _resumed(store: Path, planned: Plan, facts: dict[str, Any]) -> Ledger:
    """The ledger of the sweep to go on with.

    Raises:
        StoreError: the ledger holds a sweep that differs; the message says in what.
    """
    ledger = Ledger.open(store, write=True)
    held = ledger.facts()
    named = {"task": "task", "steps": "steps", "seeds": "seeds", "columns": "settings", "data": "data"}
    for key, name in named.items():
        if held.get(key) != facts[key]:
            told = "" if key == "data" else f": it holds {held.get(key)}, asked for is {facts[key]}"
            raise _differs(ledger, store, f"in its {name}{told}")
    for old, new in zip(ledger.rows(), planned.rows(), strict=False):
        if old.columns != new.columns:
            raise _differs(ledger, store, f"in its trials: where it has {_brief(old)}, asked for is {_brief(new)}")
    if held.get("settings") != facts["settings"]:
        raise _differs(
            ledger, store, f"in its trials: it has {held.get('settings')}, asked for are {facts['settings']}"
        )
    if held.get("digests") != facts["digests"]:
        versions = f"it was made with {held.get('versions')}, this is {facts['versions']}"
        raise _differs(
            ledger, store, f"in its compiled program, so the numbers would not be those of one sweep; {versions}"
        )
    return ledger


def _differs(ledger: Ledger, store: Path, how: str) -> StoreError:
    ledger.close()
    return StoreError(f"the sweep in {store} differs {how}. Resume with its own settings, or name another store")


def _brief(row: Row) -> str:
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.columns.items())


def _check_store(store: Path, resume: bool) -> None:
    """Find fault with a store before any work is done."""
    if resume and not _ledger.exists(store):
        raise StoreError(f"{store} holds no sweep to resume: there is no {_ledger.FILE} in it")
    if not resume and _ledger.exists(store):
        raise StoreError(f"{store} already holds a sweep: resume it (--resume, resume=True) or name another store")
    nearest = next((folder for folder in (store, *store.absolute().parents) if folder.exists()), Path())
    if not nearest.is_dir():
        raise StoreError(f"cannot write to the store {store}: {nearest} is a file; name a folder")
    if not os.access(nearest, os.W_OK):
        raise StoreError(f"cannot write to the store {store}: {nearest} is read-only; name a folder you may write to")


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    given = range(seeds) if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool) else seeds
    if not isinstance(given, Iterable):
        raise ValueError(f"seeds must be a number of seeds or a list of them, got {seeds!r}")
    out = tuple(int(s) for s in given)
    if not out or len(set(out)) < len(out) or min(out) < 0 or max(out) >= 1 << 32:
        raise ValueError(f"seeds must be at least 1, or a list of different numbers from 0 to 2³² − 1; got {seeds!r}")
    return out


def _chunks(rows: Sequence[Runner], width: int, step: Callable[[Runner], int] = lambda _: 0) -> list[list[Runner]]:
    """Runs of the same alternatives and step, in chunks of at most `width`."""
    kinds: dict[tuple[Any, int], list[Runner]] = {}
    for row in rows:
        kinds.setdefault((row.member.taken, step(row)), []).append(row)
    return [own[i : i + width] for own in kinds.values() for i in range(0, len(own), width)]


def _digest(data: Any) -> str:
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(data):
        array = np.asarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


__all__ = ["Member", "Plan", "Progress", "execute", "plan", "run"]
