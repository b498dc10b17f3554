"""Searches that ask a sampler of Optuna."""

import functools
import sys

import jax.numpy as jnp
import pytest

from jaxopt_lite import sweeps, training

optuna = pytest.importorskip("optuna")


def task():
    """The test loss is (log10 rate + 2)² + (momentum − 0.5)², plus 1 without momentum; a rate above 1 diverges."""

    def step(trial, carry, data, key):
        return carry + 1, {"loss": jnp.where(trial["rate"] > 1, jnp.inf, 1.0)}

    def evaluate(trial, carry, data):
        extra = trial["kind"].get("momentum", 1.5)
        return {"test_loss": (jnp.log10(trial["rate"]) + 2) ** 2 + (extra - 0.5) ** 2}

    return training.Task(lambda trial, key: jnp.int32(0), step, evaluate, None)


def space():
    return {
        "rate": sweeps.log_uniform(1e-5, 10),
        "kind": sweeps.choice({"a": {"momentum": sweeps.uniform(0, 1)}, "b": {"width": sweeps.values([8, 4, 16])}}),
        "depth": sweeps.integers(1, 3),
    }


def swept(trials=40, search="tpe", **options):
    # the task does not use every entry of the space
    options = {"steps": 10, "progress": False} | options
    return sweeps.run(used(task()), space(), trials=trials, search=search, **options)


def used(task):
    """The task, which also uses `depth` and `width` without an effect on its scores."""

    def step(trial, carry, data, key):
        carry, metrics = task.step(trial, carry, data, key)
        return carry, {**metrics, "unimportant": trial["depth"] + trial["kind"].get("width", 0)}

    return task._replace(step=step)


def settings(results):
    return [tuple(row[name] for name in results.swept) for row in results.rows()]


def test_the_sampler_learns_where_the_loss_is_small():
    found = swept(60)
    late = found.rows()[30:]
    assert found.best()[0].scores["test_loss"].mean < 0.1
    assert sum(row["kind"] == "a" for row in late) > 20
    assert len(set(settings(found))) == 60


def test_points_lie_in_the_space():
    for row in swept(24, sweeps.optuna("tpe", batch=5)).rows():
        assert 1e-5 <= row["rate"] <= 10 and row["depth"] in (1, 2, 3)
        assert (row["momentum"] is None) == (row["kind"] == "b") == (row["width"] is not None)
        assert row["width"] in (None, 4, 8, 16)


@pytest.mark.parametrize("search", ["tpe", sweeps.optuna(optuna.samplers.RandomSampler, batch=7)], ids=repr)
def test_the_points_depend_on_the_seed_alone(search):
    assert settings(swept(20, search)) == settings(swept(20, search)) != settings(swept(20, search, seed=1))


def test_a_resumed_or_grown_search_asks_for_the_same_points(tmp_path, monkeypatch):
    from jaxopt_lite.sweeps.store._ledger import Ledger

    whole = swept(40, store=tmp_path / "whole", stop=sweeps.halving())
    record, calls = Ledger.record, []

    def interrupted(ledger, outcomes):
        record(ledger, outcomes)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        swept(40, store=tmp_path / "s", stop=sweeps.halving())
    again = swept(40, store=tmp_path / "s", stop=sweeps.halving(), resume=True)
    assert str(again.rows()) == str(whole.rows())  # as texts, in which NaN equals NaN
    swept(20, store=tmp_path / "g")
    grown = swept(40, store=tmp_path / "g", extend=True)
    assert settings(grown) == settings(swept(40))


def test_listed_numbers_are_ordered_for_the_sampler():
    """TPE sees the place of a number in increasing order, so numbers close by are tried more often."""
    space = {
        "rate": sweeps.values([float(f"{10**-i:.0e}") for i in (3, 0, 5, 2, 4, 1)]),
        "kind": {"momentum": 0.5},
        "depth": 1,
    }
    found = sweeps.run(
        task()._replace(name="listed"), space, trials=6, search=sweeps.optuna(batch=2), steps=2, progress=False
    )
    assert found.best()[0].columns["rate"] == 0.01


def test_any_sampler_may_be_given():
    partial = functools.partial(optuna.samplers.TPESampler, n_ei_candidates=8)
    for search in (sweeps.optuna(partial, batch=4), sweeps.optuna(optuna.samplers.RandomSampler, batch=4)):
        assert len(swept(8, search)) == 8


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sweeps.optuna("tep"), "unknown sampler 'tep': did you mean 'tpe'"),
        (lambda: sweeps.optuna(batch=0), "batch of at least 1"),
        (lambda: sweeps.optuna(optuna.samplers.TPESampler()), r"not an instance.*optuna\(TPESampler\)"),
        (lambda: swept(None), "how many trials to ask for"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_without_optuna_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jaxopt-lite\[optuna\]'"):
        swept(store=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_every_batch_has_a_sampler_of_another_seed():
    """With one seed for all, two batches of 7 would be one batch of 14."""
    sampler = optuna.samplers.RandomSampler
    halves, whole = (settings(swept(14, sweeps.optuna(sampler, batch=batch))) for batch in (7, 14))
    assert halves[:7] == whole[:7]
    assert not set(halves[7:]) & set(whole[7:])
