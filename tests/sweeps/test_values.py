"""Which numbers a sweep accepts, and what it makes of numbers that are not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import sweeps, training
from jaxopt_lite.sweeps.execution import _threads


def task(loss=lambda w: w, scores=lambda w: {}, init=lambda trial, key: jnp.float32(1), data=None, **changes):
    """w falls from `init` by a hundredth of the trial's rate in a step."""

    def step(trial, carry, data, key):
        return carry - 0.01 * trial["rate"], {"loss": loss(carry)}

    def evaluate(trial, carry, data):
        return {"test_loss": carry, **scores(carry)}

    return training.Task(init, step, evaluate, data)._replace(**changes)


def swept(*arguments, steps=4, rate=1.0, **options):
    return sweeps.run(task(*arguments, **options), {"rate": sweeps.values([rate])}, steps=steps, progress=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_another_score_that_is_not_finite_does_not_discard_the_run(value):
    found = swept(scores=lambda w: {"perplexity": jnp.float32(value)})
    assert found.columns["status"] == ["done"]
    assert found.columns["test_loss"] == [pytest.approx(0.96)]
    np.testing.assert_equal(found.columns["perplexity"], [value])


@pytest.mark.parametrize("steps", [4, 400])
def test_a_loss_that_is_not_finite_is_divergence(steps):
    assert swept(loss=lambda w: jnp.where(w < 0.98, jnp.inf, w), steps=steps).columns["status"] == ["diverged"]


def test_an_objective_that_is_not_finite_is_divergence():
    found = swept(loss=lambda w: 1.0, scores=lambda w: {"test_loss": w * jnp.nan})
    assert found.columns["status"] == ["diverged"]


def test_another_metric_that_is_not_finite_is_no_divergence():
    def step(trial, carry, data, key):
        return carry - 0.01 * trial["rate"], {"loss": carry, "norm": jnp.inf}

    assert swept(step=step, steps=100).columns["status"] == ["done"]


def test_a_loss_whose_sum_overflows_is_no_divergence():
    found = swept(loss=lambda w: jnp.float32(3e38), steps=1000)
    assert found.columns["status"] == ["done"]
    np.testing.assert_allclose(found.curves[0]["loss"], 3e38, rtol=1e-5)


@pytest.mark.parametrize("name", ["rate", "status", "seed"])
def test_a_score_with_the_name_of_a_column_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=f"score {name!r}"):
        sweeps.run(task(scores=lambda w: {name: w}), {"rate": sweeps.values([1.0])}, steps=3, store=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_x64_keeps_float64():
    with _threads._enable_x64(True):
        init = lambda trial, key: jnp.float64(1)  # noqa: E731
        found = swept(init=init, steps=7, rate=1 / 3)
        alone = training.run(task(init=init), {"rate": 1 / 3}, steps=7)
    expected = 1 - 7 * 0.01 / 3
    assert found.columns["test_loss"] == [pytest.approx(expected, abs=1e-15)]
    assert alone.scores["test_loss"] == pytest.approx(expected, abs=1e-15)
    assert found.curves[0]["loss"].dtype == np.float64
    assert found.curves[0]["loss"][-1] == pytest.approx(1 - 6 * 0.01 / 3, abs=1e-15)


def test_a_float_of_the_trial_keeps_a_bfloat16_carry():
    found = swept(init=lambda trial, key: jnp.bfloat16(1), loss=lambda w: w)
    assert found.columns["status"] == ["done"]


def test_arrays_of_different_dtypes_do_not_share_a_program():
    rates = [np.full(1, 1, np.float16), np.full(1, 1, np.float32)]
    mine = task(init=lambda trial, key: jnp.ones(1, trial["rate"].dtype), loss=jnp.sum)
    mine = mine._replace(evaluate=lambda t, w, d: {"test_loss": w.sum()})
    found = sweeps.run(mine, {"rate": sweeps.choice({"half": rates[0], "single": rates[1]})}, steps=3)
    assert found.columns["status"] == ["done"] * 2
    assert found.columns["test_loss"][0] != found.columns["test_loss"][1]


def test_python_numbers_are_metrics_scores_and_data():
    def step(trial, carry, data, key):
        return carry - data["size"] * trial["rate"], {"loss": 0.5, "count": 3}

    found = swept(step=step, scores=lambda w: {"one": 1}, data={"size": 0.25, "n": 2})
    assert found.columns["test_loss"] == [0.0]
    assert found.columns["one"] == [1.0]
    assert found.curves[0]["count"][0] == 3


def test_random_keys_are_numbers_of_a_trial_and_data():
    def init(trial, key):
        return jax.random.normal(trial["key"])

    def evaluate(trial, carry, data):
        return {"test_loss": carry, "noise": jax.random.normal(data)}

    keys = [jax.random.key(1), jax.random.key(2)]
    space = {"rate": 0.0, "key": sweeps.choice({"first": keys[0], "second": keys[1]})}
    found = sweeps.run(task(init=init, evaluate=evaluate, data=jax.random.key(3)), space, steps=2)
    np.testing.assert_allclose(found.columns["test_loss"], [float(jax.random.normal(k)) for k in keys], rtol=1e-6)
    assert found.columns["noise"][0] == pytest.approx(float(jax.random.normal(jax.random.key(3))))
    assert found.facts["last"]["programs"] == 2  # one to start, one to advance: keys are data


def test_a_note_keeps_facts_and_cannot_replace_the_sweeps_own():
    run = lambda note: sweeps.run(task(), {"rate": 1.0}, steps=3, note=note)  # noqa: E731
    assert run({"mine": [1]}).facts["mine"] == [1]
    with pytest.raises(ValueError, match=r"note cannot replace 'steps'"):
        run({"steps": None})
    with pytest.raises(TypeError, match="JSON"):
        run({"mine": object()})


def test_bare_floats_are_static_and_numbers_of_optimizers_are_not():
    """In `training.run` as in `sweeps.run`."""
    from jaxopt_lite import optimizers

    traces = []

    def init(trial, key):
        traces.append(trial["rate"])
        assert trial["rate"] in (0.25, 0.5)  # a concrete number
        return jnp.float32(1)

    mine = task(init=init)
    for rate, learning_rate in [(0.25, 0.1), (0.25, 0.2), (0.5, 0.1)]:
        training.run(mine, {"rate": rate, "optimizer": optimizers.sgd(learning_rate)}, steps=3)
    assert traces == [0.25, 0.5]
    assert len(sweeps.run(mine, {"rate": 0.25, "optimizer": optimizers.sgd(0.1)}, steps=3)) == 1


def test_a_run_compiles_once_for_all_numbers_seeds_and_steps():
    from jaxopt_lite import optimizers

    traces = []

    def step(trial, carry, data, key):
        traces.append(1)
        return carry - 0.01, {"loss": carry}

    mine = task(step=step)
    training.run(mine, {"optimizer": optimizers.adam(0.1)}, steps=3)
    before = len(traces)
    training.run(mine, {"optimizer": optimizers.adam(0.2, b1=0.8)}, steps=200, seed=5)
    assert len(traces) == before
