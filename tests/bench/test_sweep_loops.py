"""The engine against loops by hand: Flax and optax, and PyTorch, from the same weights over the same rows."""

import importlib.util

import jax
import numpy as np
import pytest

from jaxopt_lite import activations, optimizers, sweeps, training
from jaxopt_lite.bench import _loops, _sweep
from jaxopt_lite.bench._loops import Training

STEPS = 60
RATES = {"sgd": 0.1, "momentum": 0.03, "adagrad": 0.1, "rmsprop": 0.002, "adam": 0.003}


@pytest.fixture(scope="module")
def task():
    return training.builtin("digits", _sweep.BATCH)


@pytest.fixture(scope="module")
def trainings(task):
    trial = {"activation": activations.relu, "optimizer": optimizers.sgd(0.1)}
    layers, rows = _loops.starting_points(task, trial, 0, STEPS, _sweep.BATCH)
    return [Training("tanh", name, rate, layers, rows) for name, rate in RATES.items()]


@pytest.fixture(scope="module")
def engine(task):
    space = {
        "activation": activations.tanh,
        "optimizer": sweeps.choice({name: optimizers.CATALOGUE[name].function(rate) for name, rate in RATES.items()}),
    }
    results = sweeps.run(task, space, steps=STEPS)
    return dict(zip(results.columns["optimizer"], results.columns["test_accuracy"], strict=True))


WAYS = {"rebuilt": _loops.rebuilt, "cached": _loops.Cached()}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_flax_and_optax_by_hand_give_what_the_engine_gives(way, task, trainings, engine):
    data = jax.tree.map(np.asarray, task.data)
    found = dict(zip(RATES, way(data, trainings), strict=True))
    for name, accuracy in found.items():
        assert accuracy > 0.5
        assert abs(accuracy - engine[name]) <= 2.5 / 360, name  # two images of 360 at most


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is compared with where it is installed")
def test_pytorch_by_hand_gives_what_the_engine_gives(task, trainings, engine):
    from jaxopt_lite.bench import _torch_loop

    data = jax.tree.map(np.asarray, task.data)
    found = dict(zip(RATES, _torch_loop.looped(data, trainings), strict=True))
    for name, accuracy in found.items():
        assert abs(accuracy - engine[name]) <= (6.5 if name == "rmsprop" else 2.5) / 360, name  # eps stands elsewhere


def test_the_page_has_every_way_and_says_where_the_winners_differ():
    figures = {
        "trials_per_second": {"engine": 100.0, "rebuilt": 2.0, "cached": 20.0},
        "engine_seconds": [1.0, 2.0, 3.0],
        "trials": {"engine": 480, "rebuilt": 160, "cached": 160},
        "ratios": {"rebuilt": 50.0, "cached": 5.0},
        "matmul_gflop_per_second": 400.0,
        "share_of_matmul_peak": 0.36,
        "gflop_per_trial": 1.4,
        "winners": {
            n: {"settings": ["relu", "adam", 0.005], "test_accuracy": 0.98} for n in ("engine", "rebuilt", "cached")
        },
        "same_winner": True,
        "place_of_the_engines_winner": {"engine": 1, "rebuilt": 1, "cached": 2},
        "median_difference": {"rebuilt": 0.0, "cached": 0.001},
        "programs": 5,
        "compile_seconds": 6.0,
        "torch_threads": None,
        "device": "cpu",
        "versions": {"jax": "0"},
    }
    page = _sweep.render_sweep(figures)
    assert page.count("\n| (") == 3
    assert "50.0 ×" in page and "36%" in page
    assert "same winner: yes" in page
    assert "same winner: no" in _sweep.render_sweep(figures | {"same_winner": False})
