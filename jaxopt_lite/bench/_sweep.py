"""The default sweep against the loops that people write, in one run on one machine."""

import contextlib
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.bench import _loops, _scan_loop
from jaxopt_lite.bench._loops import Training

Report = Callable[[str], None]
Loop = Callable[[], list[float]]

HALVING = sweeps.halving(race=True)
# Scores of which the loss by halving is reported.
TOLD = ("validation_accuracy", "test_accuracy")
RATES = tuple(float(f"{rate:.6g}") for rate in np.geomspace(1e-4, 1, 8))


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        steps: updates per training.
        batch: examples per step.
        seeds: of the engine's sweep; the loops run its first seed.
        rates: learning rates.
        repeats: timings of each way; medians are reported.
        every: the loop that compiles for each training runs every so many-th training only.
    """

    steps: int = 500
    batch: int = 64
    seeds: int = 3
    rates: tuple[float, ...] = RATES
    repeats: int = 3
    every: int = 4


SMALL = Size(steps=9, seeds=1, rates=(0.01, 0.1), repeats=2, every=20)


class Round(NamedTuple):
    """One timing: seconds without compilation, and the validation accuracies of the trainings."""

    seconds: float
    accuracies: list[float]


class Way(NamedTuple):
    """One way to train.

    Attributes:
        run: trains once.
        trainings: how many trainings it runs.
        positions: those whose validation accuracies it returns, among the trainings of the first seed.
        cores: how many it may use.
        compile_seconds: of all its programs; None if every run compiles again.
    """

    run: Callable[[], Round]
    trainings: int
    positions: list[int]
    cores: int
    compile_seconds: float | None


def clocked(loop: Loop, clock: Callable[[], float] = time.perf_counter) -> Callable[[], Round]:
    """The loop as the run of a way: every call is timed."""

    def run() -> Round:
        started = clock()
        accuracies = loop()
        return Round(clock() - started, accuracies)

    return run


def sweep(*, small: bool = False, progress: Report | None = None) -> dict[str, Any]:
    """Time the default sweep of this engine and the same trainings by hand-written loops.

    The ways take turns: each is timed once per round, and medians over the rounds are reported. All start from the
    same weights and visit the same rows in the same order. Compile time is reported apart, except for the loop that
    compiles for each training. Takes about 5 minutes on 2 cores.

    Args:
        small: whether to use tiny sizes, which show that the command works and measure nothing.
        progress: a function that is called with a line of text before each measurement; default no output.

    Returns:
        Figures for `render_sweep`: `ways` (for each way `trainings`, `cores`, `seconds` of each round,
        `trials_per_second`, `compile_seconds`, and the difference of its validation accuracies from the engine's),
        `ratios` of the engine's trials per second to each way's, `answer` (seconds until the best setting is known
        with halving, against training all of the grid), the share of the matrix-multiply rate that the engine
        reaches, `sizes`, `load` (mean number of runnable processes before the first measurement), `device`, `versions`.

    Example:
        >>> page = render_sweep(sweep(small=True))  # doctest: +SKIP
    """
    size, report = SMALL if small else Size(), progress or (lambda _: None)
    load, cores = os.getloadavg()[0], len(_scan_loop.cores())
    task = training.builtin("digits", size.batch)
    with ExitStack() as stack:
        stack.enter_context(_without_persistent_cache())
        report("engine: compiling")
        engine = Engine(task, size)
        trainings = engine.trainings()
        every = list(range(len(trainings)))
        ways = {"engine": Way(engine, engine.planned.runs, every, cores, engine.facts["compile_seconds"])}
        ways |= _loop_ways(stack, jax.tree.map(np.asarray, task.data), trainings, size, report)
        rate_before = sweeps.matmul_rate(jax.local_devices()[:1], cores)
        report("engine with halving: tracing")
        halving = Engine(task, size, HALVING)
        timed = ways | {"halving": Way(halving, halving.planned.runs, [], cores, halving.facts["compile_seconds"])}
        rounds = measured(timed, size.repeats, report)
        rate = statistics.median([rate_before, sweeps.matmul_rate(jax.local_devices()[:1], cores)])
    engine_accuracies = rounds["engine"][-1].accuracies
    figures = {name: way_figures(way, rounds[name], engine_accuracies) for name, way in ways.items()}
    speed = figures["engine"]["trials_per_second"]
    flop = sweeps.estimate(engine.planned)["gflop"] * 1e9 / engine.planned.runs
    return {
        "answer": _answer(engine, halving, rounds["halving"], figures),
        "ways": figures,
        "ratios": {name: speed / way["trials_per_second"] for name, way in figures.items() if name != "engine"},
        "matmul_gflop_per_second": rate / 1e9,
        "share_of_matmul_peak": flop * speed / rate,
        "gflop_per_trial": flop / 1e9,
        "programs": engine.facts["programs"],
        "cores": cores,
        "load": load,
        "sizes": size._asdict(),
        "device": f"{jax.local_devices()[0].platform}, {cores} cores, {platform.machine()}",
        "versions": engine.versions | ({"torch": version("torch")} if "torch" in ways else {}),
    }


def _answer(
    engine: "Engine", halving: "Engine", rounds: list[Round], ways: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Seconds until the best setting is known: with halving, and by training every setting with every seed.

    Args:
        engine: the full sweep.
        halving: the sweep that stops settings early.
        rounds: its timings.
        ways: the figures of the other ways, from which the time of the full grid follows.
    """
    seconds = statistics.median(one.seconds for one in rounds)
    best, picked = engine.results.best()[0], halving.results.best()[0]
    (same,) = (s for s in engine.results.settings() if s.columns == picked.columns)
    grid = {name: engine.planned.runs / way["trials_per_second"] for name, way in ways.items()}
    return {
        "rule": repr(HALVING),
        "seconds": [one.seconds for one in rounds],
        "share": sum(halving.results.columns["step"]) / (engine.planned.runs * engine.planned.steps),
        "slots": halving.facts["slots"],
        "grid_seconds": grid,
        "ratios": {name: whole / seconds for name, whole in grid.items()},
        "lost": {name: best.scores[name].mean - same.scores[name].mean for name in TOLD},
    }


def _loop_ways(stack: ExitStack, data: Any, trainings: list[Training], size: Size, report: Report) -> dict[str, Way]:
    """The hand-written loops, compiled; `stack` ends their processes."""
    every, some = list(range(len(trainings))), list(range(0, len(trainings), size.every))
    sample = [trainings[i] for i in some]
    ways = {"rebuilt": Way(clocked(lambda: list(_loops.rebuilt(data, sample))), len(some), some, 1, None)}
    report("compiling the loop with inject_hyperparams")
    cached, started = _loops.Cached(), time.perf_counter()
    list(cached(data, [trainings[positions[0]] for positions in _scan_loop.structures(trainings).values()]))
    seconds = time.perf_counter() - started
    ways["cached"] = Way(clocked(lambda: list(cached(data, trainings))), len(every), every, 1, seconds)
    if importlib.util.find_spec("torch"):
        from jaxopt_lite.bench import _torch_loop

        report("choosing the number of threads of PyTorch")
        threads = _torch_loop.use_best_threads(data, trainings[0])
        ways["torch"] = Way(clocked(lambda: list(_torch_loop.looped(data, trainings))), len(every), every, threads, 0.0)
    every_core = len(_scan_loop.cores())
    scans = {"scan, 1 process": (1, False), "scan": (every_core, False), "vmapped scan": (every_core, True)}
    for name, (processes, vmapped) in scans.items():
        report(f"compiling: {name}")
        loop = stack.enter_context(_scan_loop.Processes(data, trainings, processes, vmapped))
        ways[name] = Way(clocked(loop), len(every), every, processes, loop.compile_seconds)
    return ways


class Engine:
    """The sweep: compiled when it is made; a call runs it all and returns the first seed's validation accuracies."""

    def __init__(
        self,
        task: training.Task,
        size: Size,
        stop: Any = None,
        activations: Sequence[str] | None = None,
        optimizers: Sequence[str] | None = None,
    ) -> None:
        """The sweep over all activations and optimizers of the loops, or some."""
        self._task, self._size = task, size
        activations, optimizers = activations or tuple(_loops.ACTIVATIONS), optimizers or tuple(_loops.OPTIMIZERS)
        space = {
            "activation": sweeps.choice({name: act.CATALOGUE[name].function for name in activations}),
            "optimizer": sweeps.choice(
                {name: opt.CATALOGUE[name].function(sweeps.values(size.rates)) for name in optimizers}
            ),
        }
        self.planned = sweeps.plan(task, space, seeds=size.seeds, steps=size.steps, stop=stop, keep=0)
        self.results = results = self._results()
        self.facts, self.versions = results.facts["last"], results.facts["versions"]
        self._first = [row for row in results.rows() if row["seed"] == 0]

    def _results(self) -> sweeps.Results:
        return sweeps.execute(self.planned, progress=False)

    def __call__(self) -> Round:
        started = time.perf_counter()
        results = self._results()
        seconds = time.perf_counter() - started - results.facts["last"]["compile_seconds"]
        return Round(seconds, [row["validation_accuracy"] for row in results.rows() if row["seed"] == 0])

    def trainings(self) -> list[Training]:
        """Those of the first seed, as the loops need them."""
        trial = {"activation": act.relu, "optimizer": opt.sgd(0.1)}
        layers, rows = _loops.starting_points(self._task, trial, 0, self._size.steps, self._size.batch)
        return [
            Training(row["activation"], row["optimizer"], row["learning_rate"], layers, rows) for row in self._first
        ]


def measured(ways: dict[str, Way], repeats: int, report: Report = lambda _: None) -> dict[str, list[Round]]:
    """The rounds of each way. Within a round the ways take turns, so that a busy machine slows all of them alike."""
    rounds: dict[str, list[Round]] = {name: [] for name in ways}
    for nth in range(repeats):
        for name, way in ways.items():
            report(f"round {nth + 1} of {repeats}: {name}, {way.trainings} trainings")
            rounds[name].append(way.run())
    return rounds


def way_figures(way: Way, rounds: list[Round], engine_accuracies: list[float]) -> dict[str, Any]:
    """The figures of one way, from its rounds and the engine's validation accuracies of all trainings of one seed."""
    pairs = [(engine_accuracies[i], accuracy) for i, accuracy in zip(way.positions, rounds[-1].accuracies, strict=True)]
    differences = [abs(a - b) for a, b in pairs if np.isfinite(a) and np.isfinite(b)]
    seconds = [one.seconds for one in rounds]
    return {
        "trainings": way.trainings,
        "cores": way.cores,
        "seconds": seconds,
        "trials_per_second": way.trainings / statistics.median(seconds),
        "compile_seconds": way.compile_seconds,
        "compared": len(differences),
        "median_difference": float(np.median(differences)) if differences else None,
        "largest_difference": max(differences, default=None),
    }


@contextlib.contextmanager
def _without_persistent_cache() -> Iterator[None]:
    """Turn JAX's persistent cache off, in this process and those that it starts: compile times are measured."""
    before, variable = jax.config.jax_enable_compilation_cache, "JAX_ENABLE_COMPILATION_CACHE"  # type: ignore[attr-defined]
    inherited = os.environ.get(variable)
    jax.config.update("jax_enable_compilation_cache", False)
    os.environ[variable] = "false"
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        if inherited is None:
            del os.environ[variable]
        else:
            os.environ[variable] = inherited
