"""The default sweep against the loops that people write, in one run on one machine."""

import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from jaxopt_lite import activations, optimizers, sweeps, training
from jaxopt_lite.bench import _loops
from jaxopt_lite.bench._loops import Training

STEPS, BATCH, SEEDS = 500, 64, 3
RATES = [float(f"{x:.6g}") for x in np.geomspace(1e-4, 1, 8)]
Say = Callable[[str], None]


def sweep(*, progress: Say | None = None, fewer: int = 1) -> dict[str, Any]:
    """Trials a second of this engine and of hand-written loops, for the same trainings.

    The engine runs the whole default sweep (480 trainings), the median of three times; the loops run those of its
    first seed. All start from the same weights and visit the same rows in the same order. Compile time is apart,
    except for loop (a), whose point it is. `fewer` keeps every so many-th training of the loops only.

    Returns:
        Figures: `trials_per_second` and `trials` by way, `ratios`, `winners` (of the first seed), `same_winner`, the
        share of the matrix-multiply peak, programs, compile seconds, device and versions.
    """
    say = progress or (lambda _: None)
    task = training.builtin("digits", BATCH)
    rate_before = sweeps.matmul_rate(jax.local_devices()[:1], _cores())
    results, seconds = _engine(task, say)
    trainings = _trainings(task, results)[::fewer]
    data = jax.tree.map(np.asarray, task.data)
    ways: dict[str, tuple[float, list[float]]] = {}
    say(f"(a) Flax and optax, jitted anew: {len(trainings)} trainings")
    ways["rebuilt"] = _timed(_loops.rebuilt(data, trainings))
    say("(b) Flax and optax, compiled once with inject_hyperparams")
    cached = _loops.Cached()
    list(cached(data, list({(t.activation, t.optimizer): t for t in trainings}.values())))
    ways["cached"] = _timed(cached(data, trainings))
    threads = None
    if importlib.util.find_spec("torch"):
        from jaxopt_lite.bench import _torch_loop

        say("(c) PyTorch")
        threads = _torch_loop.use_best_threads(data, trainings[0])
        ways["torch"] = _timed(_torch_loop.looped(data, trainings))
    rate = statistics.median([rate_before, sweeps.matmul_rate(jax.local_devices()[:1], _cores())])
    return _figures(results, seconds, trainings, ways, rate, threads)


def _engine(task: training.Task, say: Say) -> tuple[sweeps.Results, list[float]]:
    """The sweep's results and the seconds of its runs; only the first compiles."""
    space = {
        "activation": sweeps.choice({name: activations.CATALOGUE[name].function for name in _loops.ACTIVATIONS}),
        "optimizer": sweeps.choice(
            {name: optimizers.CATALOGUE[name].function(sweeps.values(RATES)) for name in _loops.OPTIMIZERS}
        ),
    }
    seconds, first = [], None
    for nth in range(3):
        say(f"(d) this engine, 480 trainings, run {nth + 1} of 3")
        results = sweeps.run(task, space, seeds=SEEDS, steps=STEPS, progress=False)
        seconds.append(results.facts["last"]["run_seconds"])
        first = first or results
    assert first is not None
    return first, seconds


def _trainings(task: training.Task, results: sweeps.Results) -> list[Training]:
    """Those of the first seed, as the loops need them."""
    trial = {"activation": activations.relu, "optimizer": optimizers.sgd(0.1)}
    layers, rows = _loops.starting_points(task, trial, 0, STEPS, BATCH)
    return [
        Training(row["activation"], row["optimizer"], row["learning_rate"], layers, rows)
        for row in results.rows()
        if row["seed"] == 0
    ]


def _timed(accuracies: Iterator[float]) -> tuple[float, list[float]]:
    begun = time.perf_counter()
    found = list(accuracies)
    return time.perf_counter() - begun, found


def _figures(
    results: sweeps.Results,
    seconds: list[float],
    trainings: list[Training],
    ways: dict[str, tuple[float, list[float]]],
    rate: float,
    threads: int | None,
) -> dict[str, Any]:
    own = {
        (r["activation"], r["optimizer"], r["learning_rate"]): r["test_accuracy"]
        for r in results.rows()
        if r["seed"] == 0
    }
    scores = {"engine": [own[t[:3]] for t in trainings]} | {name: found for name, (_, found) in ways.items()}
    speed = {"engine": len(results) / statistics.median(seconds)}
    speed |= {name: len(found) / took for name, (took, found) in ways.items()}
    winners = {name: _winner(trainings, found) for name, found in scores.items()}
    ours = int(np.nanargmax(scores["engine"]))
    places = {name: 1 + sum(x > found[ours] for x in found) for name, found in scores.items()}
    flop = sweeps.estimate(_plan())["gflop"] * 1e9 / len(RATES)
    return {
        "trials_per_second": speed,
        "engine_seconds": seconds,
        "trials": {"engine": len(results)} | {name: len(found) for name, (_, found) in ways.items()},
        "ratios": {name: speed["engine"] / speed[name] for name in ways},
        "matmul_gflop_per_second": rate / 1e9,
        "share_of_matmul_peak": flop * speed["engine"] / rate,
        "gflop_per_trial": flop / 1e9,
        "winners": winners,
        "place_of_the_engines_winner": places,
        "same_winner": len({str(winner["settings"]) for winner in winners.values()}) == 1,
        "median_difference": {
            name: _difference(scores["engine"], found) for name, found in scores.items() if name != "engine"
        },
        "programs": results.facts["last"]["programs"],
        "compile_seconds": results.facts["last"]["compile_seconds"],
        "torch_threads": threads,
        "device": f"{results.facts['device']}, {_cores()} cores, {platform.machine()}",
        "versions": results.facts["versions"] | ({"torch": version("torch")} if threads else {}),
    }


def _plan() -> sweeps.Plan:
    space = {"activation": activations.relu, "optimizer": optimizers.sgd(sweeps.values(RATES))}
    return sweeps.plan(training.builtin("digits", BATCH), space, steps=STEPS)


def _winner(trainings: list[Training], accuracies: list[float]) -> dict[str, Any]:
    """The best training; of several equal ones, the first."""
    best = int(np.nanargmax(accuracies))
    return {"settings": list(trainings[best][:3]), "test_accuracy": accuracies[best]}


def _difference(ours: list[float], theirs: list[float]) -> float:
    """Median absolute difference in test accuracy over the trainings that converged in both."""
    pairs = [abs(a - b) for a, b in zip(ours, theirs, strict=True) if np.isfinite(a) and np.isfinite(b)]
    return float(np.median(pairs))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_NAMES = {
    "rebuilt": "(a) Flax + optax, a step jitted anew for each training",
    "cached": "(b) Flax + optax, compiled once with inject_hyperparams",
    "torch": "(c) PyTorch loop",
    "engine": "(d) this engine",
}


def render_sweep(figures: dict[str, Any]) -> str:
    """The figures as a page of Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    lines = [
        "# The default sweep against hand-written loops",
        "",
        f"digits, MLP 64-64-64-10, batch {BATCH}, {STEPS} steps, float32. {figures['device']}. {versions}.",
        "",
        "| way | trainings | trials/s | engine faster by | its winner (seed 0) | accuracy | engine's winner is its |",
        "|---|---|---|---|---|---|---|",
        *(_row(figures, name) for name in _NAMES if name in figures["trials_per_second"]),
        "",
        *_notes(figures),
        "",
        "Made by `jaxopt-lite bench sweep`.",
    ]
    return "\n".join(lines) + "\n"


def _row(figures: dict[str, Any], name: str) -> str:
    won, ratio = figures["winners"][name], figures["ratios"].get(name)
    cells = [
        _NAMES[name],
        figures["trials"][name],
        f"{figures['trials_per_second'][name]:.2f}",
        f"{ratio:.1f} ×" if ratio else "",
        "{} {} {:.3g}".format(*won["settings"]),
        f"{won['test_accuracy']:.4f}",
        f"no. {figures['place_of_the_engines_winner'][name]}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _notes(figures: dict[str, Any]) -> list[str]:
    threads = figures["torch_threads"]
    seconds = ", ".join(f"{s:.2f}" for s in figures["engine_seconds"])
    differences = ", ".join(f"{name} {d:.4f}" for name, d in figures["median_difference"].items())
    same = (
        "yes" if figures["same_winner"] else "no; of one seed, neighbours of the best are within an image or two of 360"
    )
    return [
        f"- All name the same winner: {same}. Median difference in test accuracy from the engine: {differences}.",
        f"- The engine does {figures['gflop_per_trial']:.2f} GFLOP a training: "
        f"{figures['share_of_matmul_peak']:.0%} of the matrix-multiply rate measured on all cores in this run "
        f"({figures['matmul_gflop_per_second']:.0f} GFLOP/s, products of 1024² matrices).",
        f"- It compiled {figures['programs']} programs in {figures['compile_seconds']:.1f} s, which is not in its "
        "trials/s. Loop (a) compiles for every training, which is in its.",
        f"- The loops run in one process{f' (PyTorch with {threads} thread)' if threads else ''}, as they are written; "
        "one process a core would at most multiply their trials/s by the number of cores.",
        f"- Engine: median of {len(figures['engine_seconds'])} runs ({seconds} s).",
    ]
