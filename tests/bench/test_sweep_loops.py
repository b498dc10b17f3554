"""The engine against loops by hand: Flax and optax, and PyTorch, from the same weights over the same rows."""

import importlib.util
import re

import jax
import numpy as np
import pytest

from jaxopt_lite import activations, optimizers, sweeps, training
from jaxopt_lite.bench import _loops, _scan_loop, _sweep, _sweep_page
from jaxopt_lite.bench._loops import Training

STEPS, BATCH = 60, 64
RATES = {"sgd": 0.1, "momentum": 0.03, "adagrad": 0.1, "rmsprop": 0.002, "adam": 0.003}


@pytest.fixture(scope="module")
def task():
    return training.builtin("digits", BATCH)


@pytest.fixture(scope="module")
def data(task):
    return jax.tree.map(np.asarray, task.data)


@pytest.fixture(scope="module")
def trainings(task):
    trial = {"activation": activations.relu, "optimizer": optimizers.sgd(0.1)}
    layers, rows = _loops.starting_points(task, trial, 0, STEPS, BATCH)
    return [Training("tanh", name, rate, layers, rows) for name, rate in RATES.items()]


@pytest.fixture(scope="module")
def engine(task):
    space = {
        "activation": activations.tanh,
        "optimizer": sweeps.choice({name: optimizers.CATALOGUE[name].function(rate) for name, rate in RATES.items()}),
    }
    results = sweeps.run(task, space, steps=STEPS)
    return dict(zip(results.columns["optimizer"], results.columns["validation_accuracy"], strict=True))


# Two ways run all optimizers. The others have the same optimizers and step, and run the first and the last.
WAYS = {
    "rebuilt": lambda data, trainings: list(_loops.rebuilt(data, trainings)),
    "cached": lambda data, trainings: list(_loops.Cached()(data, trainings)),
    "scan": lambda data, trainings: _scan_loop.Loop(data, trainings, False)(),
    "vmapped scan": lambda data, trainings: _scan_loop.Loop(data, trainings, True)(),
}


@pytest.mark.parametrize("way", WAYS)
def test_jax_loops_by_hand_agree_with_the_engine(way, data, trainings, engine):
    some = trainings if way in ("cached", "scan") else [trainings[0], trainings[-1]]
    for name, accuracy in zip((one.optimizer for one in some), WAYS[way](data, some), strict=True):
        assert accuracy > 0.5
        assert abs(accuracy - engine[name]) <= 2.5 / 360, name  # two images of 360 at most


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_a_pytorch_loop_by_hand_agrees_with_the_engine(data, trainings, engine):
    from jaxopt_lite.bench import _torch_loop

    for name, accuracy in zip(RATES, _torch_loop.looped(data, trainings), strict=True):
        assert abs(accuracy - engine[name]) <= (6.5 if name == "rmsprop" else 2.5) / 360, name  # other place of eps


def test_processes_return_the_accuracies_in_the_order_of_the_trainings(data, trainings):
    few = [
        trainings[i]._replace(rows=trainings[i].rows[:20], learning_rate=rate)
        for i, rate in ((0, 0.01), (4, 0.01), (0, 0.3))
    ]
    alone = _scan_loop.Loop(data, few, False)()
    assert len(set(alone)) == 3
    with _scan_loop.Processes(data, few, 2) as loop:
        assert loop.compile_seconds > 0
        for _ in range(2):
            np.testing.assert_allclose(loop(), alone, atol=1.5 / 360)


def test_a_scan_is_compiled_once_per_structure(data, trainings, monkeypatch):
    compiled = []
    make = _scan_loop.training_function
    monkeypatch.setattr(_scan_loop, "training_function", lambda *names: compiled.append(names[:2]) or make(*names))
    few = [one._replace(rows=one.rows[:2], learning_rate=rate) for one in trainings[:2] for rate in (0.1, 0.2)]
    for vmapped in (False, True):
        compiled.clear()
        assert len(_scan_loop.Loop(data, few, vmapped)()) == 4
        assert compiled == [("tanh", "sgd"), ("tanh", "momentum")]


class Clock:
    """A clock that a loop advances."""

    now = 0.0

    def __call__(self):
        return self.now

    def loop(self, seconds, runs):
        def run():
            runs.append(seconds)
            self.now += next(steps)
            return [0.5, 0.75]

        steps = iter(seconds)
        return run


def test_every_way_is_timed_once_per_round_and_reported_by_its_median():
    clock, runs = Clock(), []
    ways = {
        name: _sweep.Way(_sweep.clocked(clock.loop(seconds, runs), clock), 2, [0, 2], 1, 0.0)
        for name, seconds in {"engine": (1.0, 9.0, 2.0), "rival": (8.0, 4.0, 1.0)}.items()
    }
    rounds = _sweep.measured(ways, 3)
    assert runs == [(1.0, 9.0, 2.0), (8.0, 4.0, 1.0)] * 3
    figures = {name: _sweep.way_figures(way, rounds[name], [0.5, 0.0, 1.0]) for name, way in ways.items()}
    assert figures["engine"]["seconds"] == [1.0, 9.0, 2.0]
    assert figures["rival"]["seconds"] == [8.0, 4.0, 1.0]
    assert figures["engine"]["trials_per_second"] == 2 / 2.0
    assert figures["rival"]["trials_per_second"] == 2 / 4.0
    assert figures["rival"]["largest_difference"] == 0.25


def figures(**speeds):
    """Figures of an engine with 100 trials per second on two cores, and of ways with these speeds."""

    def way(speed, cores=1, compile_seconds=9.0):
        return {
            "trainings": 160,
            "cores": cores,
            "seconds": [160 / speed] * 3,
            "trials_per_second": speed,
            "compile_seconds": compile_seconds,
            "median_difference": 0.0,
            "largest_difference": 0.0028,
        }

    return {
        "ways": {"engine": way(100.0, 2, 6.0), "scan": way(speeds["scan"], 2, 5.0), "cached": way(speeds["cached"])},
        "ratios": {name: 100.0 / speed for name, speed in speeds.items()},
        "answer": {
            "rule": "halving(...)",
            "seconds": [3.0, 1.0, 2.0],
            "share": 0.114,
            "slots": 0.9,
            "grid_seconds": {"engine": 4.8, "scan": 10.0},
            "ratios": {"engine": 2.4, "scan": 5.0},
            "lost": {"validation_accuracy": 0.001, "test_accuracy": -0.002},
        },
        "matmul_gflop_per_second": 400.0,
        "share_of_matmul_peak": 0.36,
        "gflop_per_trial": 1.4,
        "programs": 5,
        "cores": 2,
        "load": 0.1,
        "sizes": _sweep.Size()._asdict(),
        "device": "cpu",
        "versions": {"jax": "0"},
    }


def test_the_verdict_follows_from_the_figures():
    won = _sweep_page.verdict(figures(scan=95.0, cached=20.0))
    assert won == [
        "The engine uses 2 cores; its ratio to a way on one core includes the others.",
        "2 of 2 predictions hold.",
        "No way trains more per second than the engine.",
        "It compiles in 6.0 s; faster: scan, one process per core (5.0 s).",
    ]
    lost = " ".join(_sweep_page.verdict(figures(scan=125.0, cached=60.0)))
    assert "0 of 2 predictions hold." in lost
    assert "slower than: scan, one process per core (0.80 ×)." in lost
    assert "Per core the engine is slower than: Flax + optax, jitted once per structure (0.83 ×)." in lost
    assert "No way" not in lost


def test_the_page_has_a_row_per_way():
    page = _sweep_page.render_sweep(figures(scan=95.0, cached=20.0))
    results, answers = page.split("## Time until")
    assert len(re.findall(r"^\| (this engine|scan|Flax)", results, flags=re.MULTILINE)) == 3
    assert len(re.findall(r"^\| (this engine|scan|Flax)", answers, flags=re.MULTILINE)) == 2
    assert "| 5.00 | 2.50 |" in page
    assert "36%" in page
    assert "11.4% of the steps" in page and "after 2.00 s (1.00 to 3.00)" in page
    assert "| scan, one process per core | 10.0 | 5.0 |" in page
    assert "PyTorch" not in page.split("## How")[0]


def test_all_ways_run_the_same_trainings(monkeypatch, small_products):
    monkeypatch.setattr(_loops, "ACTIVATIONS", {"tanh": _loops.ACTIVATIONS["tanh"]})
    monkeypatch.setattr(_loops, "OPTIMIZERS", {"sgd": _loops.OPTIMIZERS["sgd"]})
    monkeypatch.setattr(_sweep, "SMALL", _sweep.Size(steps=9, seeds=2, rates=(0.01, 0.1), repeats=2, every=2))
    choices = []
    if importlib.util.find_spec("torch"):
        from jaxopt_lite.bench import _torch_loop

        monkeypatch.setattr(_torch_loop, "use_best_threads", lambda *_: choices.append(len(choices) + 1) or choices[-1])
    lines = []
    measured = _sweep.sweep(small=True, progress=lines.append)
    ways = measured["ways"]
    assert list(ways) == [name for name in _sweep_page.NAMES if name != "torch" or importlib.util.find_spec("torch")]
    assert {name: way["trainings"] for name, way in ways.items()} == dict.fromkeys(ways, 2) | {
        "engine": 4,
        "rebuilt": 1,
    }
    assert len(choices) <= 1  # a second choice would know of the first number of threads only
    for name, way in ways.items():
        assert len(way["seconds"]) == 2, name
        assert way["largest_difference"] <= 1.5 / 360, name
        assert way["trials_per_second"] == way["trainings"] / np.median(way["seconds"])
    assert lines[-1].startswith("round 2 of 2: halving")
    assert set(measured["answer"]["ratios"]) == set(ways)
    assert 0 < measured["answer"]["share"] <= 1
    page = _sweep_page.render_sweep(measured)
    assert all(_sweep_page.NAMES[name] in page for name in ways)
