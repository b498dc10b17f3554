"""Sweeps of CNNs, a GRU and a transformer against loops with a jitted step, in one run on one machine."""

import importlib.util
import os
import platform
import statistics
import time
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lite import optimizers, sweeps
from jaxopt_lite.bench import _network_loops, _networks
from jaxopt_lite.bench._network_loops import Processes, Work
from jaxopt_lite.bench._scan_loop import cores
from jaxopt_lite.bench._sweep import Report, Round, Way, _without_persistent_cache, clocked, measured

RATES = tuple(float(f"{rate:.6g}") for rate in np.geomspace(1e-4, 1e-2, 8))


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        steps: updates per training, for each network.
        rates: learning rates, one training each.
        repeats: timings of each way; medians are reported.
    """

    steps: dict[str, int]
    rates: tuple[float, ...] = RATES
    repeats: int = 3


FULL = Size({"cnn": 60, "cnn-mean": 60, "gru": 200, "transformer": 60})
SMALL = Size(dict.fromkeys(_networks.NETWORKS, 3), rates=(0.001, 0.01), repeats=1)


def convolutions(*, small: bool = False, progress: Report | None = None) -> dict[str, Any]:
    """Time sweeps of four networks and the same trainings by loops with a jitted step.

    The networks are two CNNs, a GRU and a transformer, trained by Adam at 8 learning rates. The loops compile their
    step once; one uses all cores for each operation, the other runs a process per core. The CNNs are also trained by
    PyTorch.
    The ways take turns: each is timed once per round, and medians over the rounds are reported. All start from the same
    weights and visit the same rows in the same order, and all end with the loss on the training and the test rows.
    Compile time is reported apart. Takes about 6 minutes on 2 cores.

    Args:
        small: whether to use tiny sizes, which show that the command works and measure nothing.
        progress: a function that is called with a line of text before each measurement; default no output.

    Returns:
        Figures for `render_convolutions`: `networks` (for each one `title`, `batch`, `steps`, and `ways`: for each way
        `seconds` of each round, `milliseconds` of a step of a training, `compile_seconds`, and the largest relative
        difference of its test losses from the engine's), `ratios` of each way's time to the engine's, `sizes`, `load`
        (mean number of runnable processes before the first measurement), `device`, `versions`.

    Example:
        >>> page = render_convolutions(convolutions(small=True))  # doctest: +SKIP
    """
    size, report = SMALL if small else FULL, progress or (lambda _: None)
    load = os.getloadavg()[0]
    figures: dict[str, Any] = {}
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        stack.enter_context(_without_persistent_cache())
        for name in _networks.NETWORKS:
            figures[name], versions = _network(name, size, report)
    torch = {"torch": version("torch")} if any("torch" in one["ways"] for one in figures.values()) else {}
    return {
        "networks": figures,
        "cores": len(cores()),
        "load": load,
        "sizes": size._asdict(),
        "device": f"{jax.local_devices()[0].platform}, {len(cores())} cores, {platform.machine()}",
        "versions": versions | torch,
    }


class Engine:
    """The sweep: compiled when it is made; a call runs it and returns the test losses."""

    def __init__(self, task: Any, rates: tuple[float, ...], steps: int) -> None:
        space = {"optimizer": optimizers.adam(sweeps.values(rates))}
        self._planned = sweeps.plan(task, space, steps=steps)
        self.width = self._planned.widths[0]
        results = sweeps.execute(self._planned, progress=False)
        self.compile_seconds, self.versions = results.facts["last"]["compile_seconds"], results.facts["versions"]

    def __call__(self) -> Round:
        started = time.perf_counter()
        results = sweeps.execute(self._planned, progress=False)
        seconds = time.perf_counter() - started - results.facts["last"]["compile_seconds"]
        return Round(seconds, [row["test_loss"] for row in results.rows()])


def _network(name: str, size: Size, report: Report) -> tuple[dict[str, Any], dict[str, str]]:
    """The figures of one network, and the versions of the libraries of the engine."""
    one, steps = _networks.network(name), size.steps[name]
    task = _networks.task_of(one, name)
    work = Work(name, size.rates, _networks.starting_point(one, task, steps))
    count = len(cores())
    with ExitStack() as stack:
        report(f"{name}, engine: compiling")
        engine = Engine(task, size.rates, steps)
        ways = {"engine": _way(engine, engine.compile_seconds, size, count)}
        report(f"{name}: compiling the loop")
        started = time.perf_counter()
        jitted = _network_loops.jitted(work)
        ways["jitted"] = _way(clocked(jitted), time.perf_counter() - started, size, count)
        report(f"{name}: compiling the loop in a process per core")
        processes = stack.enter_context(Processes("jitted", work))
        ways["jitted processes"] = _way(clocked(processes), processes.compile_seconds, size, count)
        if name.startswith("cnn") and importlib.util.find_spec("torch"):
            report(f"{name}: choosing the number of threads of PyTorch")
            torch = _network_loops.torch(work)
            ways["torch"] = _way(clocked(torch), 0.0, size, torch.threads)
            ways["torch processes"] = _way(clocked(stack.enter_context(Processes("torch", work))), 0.0, size, count)
        rounds = measured(ways, size.repeats, report)
    seconds = {way: statistics.median(one.seconds for one in timed) for way, timed in rounds.items()}
    return {
        "title": one.title,
        "batch": one.batch,
        "steps": steps,
        "width": engine.width,
        "ways": {
            way: {
                "cores": ways[way].cores,
                "seconds": [one.seconds for one in timed],
                "milliseconds": 1e3 * seconds[way] / (steps * len(size.rates)),
                "compile_seconds": ways[way].compile_seconds,
                "largest_difference": _difference(rounds["engine"][-1].accuracies, timed[-1].accuracies),
            }
            for way, timed in rounds.items()
        },
        "ratios": {way: seconds[way] / seconds["engine"] for way in ways if way != "engine"},
    }, engine.versions


def _way(run: Any, compile_seconds: float, size: Size, cores: int) -> Way:
    return Way(run, len(size.rates), list(range(len(size.rates))), cores, compile_seconds)


def _difference(expected: list[float], found: list[float]) -> float:
    """The largest relative difference."""
    a, b = np.array(expected), np.array(found)
    return float(np.max(np.abs(a - b) / np.abs(a)))
