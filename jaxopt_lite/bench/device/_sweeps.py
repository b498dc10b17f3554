"""Sweeps on a device against hand-written loops, by the number of runs side by side, and for other networks."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.bench import _convolutions, _network_loops, _networks, _scan_loop
from jaxopt_lite.bench._network_loops import Work
from jaxopt_lite.bench._sweep import Engine, Report, Way, clocked, measured, way_figures
from jaxopt_lite.bench._sweep import Size as SweepSize


def against_loops(
    size: SweepSize, activations: Sequence[str], optimizers: Sequence[str], report: Report
) -> dict[str, Any]:
    """A sweep of the digits classifier against jitted scans over the steps, compiled once per structure.

    Args:
        size: steps, batch, seeds, learning rates and repeats; the scan of one training at a time makes every
            `size.every`-th training only.
        activations: names of activations.
        optimizers: names of optimizers.
        report: called with a line of text before each measurement.

    Returns:
        `ways` (of each: trainings, seconds of each round, trials per second, compile time and the difference of its
        validation accuracies from the engine's), `ratios` of the engine's trials per second to each way's, `programs`,
        `width` and `trainings` of the engine.
    """
    report("sweep: compiling")
    task = training.builtin("digits", size.batch)
    engine = Engine(task, size, activations=activations, optimizers=optimizers)
    trainings, data = engine.trainings(), jax.tree.map(np.asarray, task.data)
    every, some = list(range(len(trainings))), list(range(0, len(trainings), size.every))
    ways = {"engine": Way(engine, engine.planned.runs, every, 1, engine.facts["compile_seconds"])}
    for name, vmapped, positions in (("scan", False, some), ("vmapped scan", True, every)):
        report(f"{name}: compiling")
        begin = time.perf_counter()
        loop = _scan_loop.Loop(data, [trainings[i] for i in positions], vmapped)
        ways[name] = Way(clocked(loop), len(positions), positions, 1, time.perf_counter() - begin)
    rounds = measured(ways, size.repeats, report)
    accuracies = rounds["engine"][-1].accuracies
    figures = {name: way_figures(way, rounds[name], accuracies) for name, way in ways.items()}
    speed = figures["engine"]["trials_per_second"]
    return {
        "ways": figures,
        "ratios": {name: speed / way["trials_per_second"] for name, way in figures.items() if name != "engine"},
        "programs": engine.facts["programs"],
        "width": engine.planned.widths[0],
        "runs": engine.planned.runs,
        "structures": engine.planned.structures,
        "sizes": size._asdict(),
    }


def by_width(widths: tuple[int, ...], steps: int, batch: int, repeats: int, report: Report) -> dict[str, Any]:
    """Steps per second of all runs together, for the digits classifier with tanh and Adam, by the width of a chunk.

    Args:
        widths: numbers of runs side by side.
        steps: steps of a training.
        batch: examples per step.
        repeats: timings of each; the median counts.
        report: called with a line of text before each measurement.
    """
    found: dict[str, float] = {}
    for width in widths:
        report(f"{width} runs side by side")
        rates = sweeps.values([float(rate) for rate in np.geomspace(1e-4, 1e-2, width)])
        space = {"activation": act.tanh, "optimizer": opt.adam(rates)}
        layout = sweeps.Layout(width=width)
        planned = sweeps.plan(training.builtin("digits", batch), space, steps=steps, layout=layout, keep=0)
        seconds = []
        for _ in range(repeats + 1):
            facts = sweeps.execute(planned, progress=False).facts["last"]
            seconds.append(facts["run_seconds"])
        found[str(width)] = width * steps / statistics.median(seconds[1:])
    return found


def networks(steps: dict[str, int], rates: int, loop_rates: int, repeats: int, report: Report) -> dict[str, Any]:
    """Milliseconds of a step of a training, for sweeps of a CNN, a GRU and a transformer and for loops.

    Args:
        steps: steps of a training, for each network of `bench convolutions`.
        rates: number of learning rates of the sweep.
        loop_rates: how many of them the loop trains.
        repeats: timings of each; the median counts.
        report: called with a line of text before each measurement.

    Returns:
        For each network `title`, `width`, and for `engine` and `jitted` (a jitted step in a loop, compiled once) the
        milliseconds of a step of a training.
    """
    every = tuple(float(f"{rate:.6g}") for rate in np.geomspace(1e-4, 1e-2, rates))
    found: dict[str, Any] = {}
    for name, count in steps.items():
        report(f"{name}: compiling")
        one = _networks.network(name)
        task = _networks.task_of(one, name)
        engine = _convolutions.Engine(task, every, count)
        work = Work(name, every[:loop_rates], _networks.starting_point(one, task, count))
        loop = clocked(_network_loops.jitted(work))
        ways = {
            "engine": Way(engine, rates, [], 1, engine.compile_seconds),
            "jitted": Way(loop, loop_rates, [], 1, None),
        }
        rounds = measured(ways, repeats, report)
        seconds = {way: statistics.median(r.seconds for r in timed) for way, timed in rounds.items()}
        found[name] = {
            "title": one.title,
            "width": engine.width,
            "compile_seconds": engine.compile_seconds,
            "milliseconds": {way: 1e3 * seconds[way] / (count * ways[way].trainings) for way in ways},
        }
    return found
