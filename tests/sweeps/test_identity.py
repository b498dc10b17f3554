"""The law of identity: a run is bitwise identical whichever trials run beside it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations, optimizers, sweeps
from tests.sweeps import small

STEPS = 40


@pytest.fixture(scope="module")
def whole():
    return sweeps.run(small.task(), small.space(), seeds=3, steps=STEPS)


def test_every_run_has_a_row(whole):
    assert len(whole) == 2 * 3 * 3
    assert set(whole.columns) >= {"activation", "optimizer", "learning_rate", "seed", "status", "test_accuracy"}
    assert whole.columns["status"] == ["done"] * 18
    assert len(set(small.finals(whole).values())) == 18  # no two runs are alike


@pytest.mark.parametrize("name, rate, seed", [("sgd", 0.1, 0), ("sgd", 1.0, 2), ("adam", 0.01, 1), ("adam", 1.0, 0)])
def test_a_run_alone_is_bitwise_identical(whole, name, rate, seed):
    space = {"activation": activations.tanh, "optimizer": getattr(optimizers, name)(rate)}
    alone = sweeps.run(small.task(), space, seeds=[seed], steps=STEPS)
    assert small.finals(alone)[name, rate, seed] == small.finals(whole)[name, rate, seed]


def test_a_run_in_a_larger_sweep_is_bitwise_identical(whole):
    rates = sweeps.values([1.0, 0.3, 0.1, 0.01])
    company = {
        "activation": sweeps.choice([activations.relu, activations.tanh]),
        "optimizer": sweeps.choice(
            [
                optimizers.adagrad(rates),
                optimizers.adam(rates),
                optimizers.sgd(rates, momentum=0.9),
                optimizers.rmsprop(rates),
                optimizers.sgd(rates),
            ]
        ),
    }
    found = sweeps.run(small.task(), company, seeds=[2, 0, 1], steps=STEPS)
    rows = [i for i, name in enumerate(found.columns["activation"]) if name == "tanh"]
    columns = {name: [column[i] for i in rows] for name, column in found.columns.items()}
    theirs = small.finals(dataclasses.replace(found, columns=columns, curves=[found.curves[i] for i in rows]))
    common = set(theirs) & set(small.finals(whole))
    assert len(common) == 18
    for key in common:
        assert theirs[key] == small.finals(whole)[key], key


def test_runs_beside_one_of_nan_are_bitwise_identical(whole):
    ill = sweeps.run(small.task(), small.space((0.01, float("nan"), 0.1, 1.0)), seeds=3, steps=STEPS)
    diverged = [row for row in ill.rows() if np.isnan(row["learning_rate"])]
    assert [row["status"] for row in diverged] == ["diverged"] * 6
    assert all(np.isnan(row["test_accuracy"]) for row in diverged)
    found = small.finals(ill)
    for key, bits in small.finals(whole).items():
        assert found[key] == bits, key


def test_a_sweep_agrees_with_one_run_of_training(whole):
    from jaxopt_lite import training

    trial = {"activation": activations.tanh, "optimizer": optimizers.adam(0.1)}
    single = training.run(small.task(), trial, steps=STEPS, seed=1)
    row = next(r for r in whole.rows() if (r["optimizer"], r["learning_rate"], r["seed"]) == ("adam", 0.1, 1))
    assert row["train_loss"] == pytest.approx(single.scores["train_loss"], rel=1e-3)
    assert row["test_loss"] == pytest.approx(single.scores["test_loss"], rel=1e-3)


def test_other_learning_rates_compile_nothing():
    whole = sweeps.run(small.task(), small.space(), seeds=3, steps=STEPS)  # programs of other tests may have been freed
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **kw: compiled.append(event) if "backend_compile" in event else None
    )
    try:
        jax.jit(lambda x: x * 3.25)(jnp.ones(7))
        assert compiled, "the listener hears compilations"
        compiled.clear()
        again = sweeps.run(small.task(), small.space((0.02, 0.2, 0.7, 0.9)), seeds=3, steps=STEPS + 7)
        assert compiled == []
    finally:
        jax.monitoring.clear_event_listeners()
    assert again.facts["last"]["compiled"] == 0
    training_programs = 1 if whole.facts["merge"] else whole.facts["structures"]
    assert whole.facts["last"]["programs"] <= 2 * training_programs
