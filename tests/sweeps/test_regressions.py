"""Regressions."""

import functools
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_lite import activations, optimizers, sweeps, training
from tests.sweeps import small


def descent(entry, **changes):
    """A task of its own making: w falls from 1 by the trial's entry, which is all it reads."""

    def init(trial, key):
        return {"w": jnp.float32(1), "t": 0}  # a Python number among the arrays

    def step(trial, carry, data, key):
        return {"w": carry["w"] - 0.01 * trial[entry], "t": carry["t"] + 1}, {"loss": carry["w"]}

    task = training.Task(init, step, lambda trial, carry, data: {"test_loss": carry["w"]}, jnp.zeros(1), "descent")
    return task._replace(**changes)


def test_programs_that_read_different_entries_are_not_taken_for_one():
    space = {"a": sweeps.values([1.0]), "b": sweeps.values([2.0])}
    found = [sweeps.run(descent(entry), space, steps=10).columns["test_loss"][0] for entry in ("a", "b")]
    np.testing.assert_allclose(found, [0.9, 0.8], rtol=1e-5)


def test_an_entry_more_or_less_is_another_program():
    for space in ({"a": sweeps.values([1.0]), "note": 1.0}, {"a": sweeps.values([1.0])}, {"a": sweeps.values([1, 2])}):
        assert sweeps.run(descent("a"), space, steps=10).columns["test_loss"][0] == pytest.approx(0.9, rel=1e-5)


def test_callbacks_are_not_taken_for_one_another():
    def scored(factor):
        def evaluate(trial, carry, data):
            return {"test_loss": called(factor, carry["w"])}

        return descent("a", evaluate=evaluate)

    def called(factor, w):
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(lambda w: np.float32(factor * np.asarray(w)), shape, w, vmap_method="sequential")

    found = [sweeps.run(scored(f), {"a": 1.0}, steps=10).columns["test_loss"][0] for f in (1, 5)]
    np.testing.assert_allclose(found, [0.9, 4.5], rtol=1e-5)


def interrupted(store, **arguments):
    def interrupt(progress):
        if progress.phase == "run" and progress.trials_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeps.run(**arguments, store=store, progress=interrupt)


@pytest.mark.parametrize("what", ["a setting that is not swept", "the initialisation"])
def test_resume_refuses_changes_that_no_column_shows(tmp_path, what):
    def space(b1):
        return {"activation": activations.tanh, "optimizer": optimizers.adam(sweeps.values([0.01, 0.1]), b1=b1)}

    def task(scale):
        def build(trial, rngs):
            net = small.Net(trial["activation"], rngs)
            net.inner.kernel[...] = scale * net.inner.kernel[...]
            return net

        return training.supervised(build, small.data(), batch_size=8)

    given = {"task": task(1.0), "space": space(0.9), "seeds": 100, "steps": 20}
    interrupted(tmp_path / "s", **given)
    other = {"space": space(0.1)} if what.startswith("a setting") else {"task": task(3.0)}
    with pytest.raises(sweeps.StoreError, match=r"not swept|compiled program"):
        sweeps.run(**(given | other), store=tmp_path / "s", resume=True)


def test_a_score_that_is_infinite_on_the_way_is_no_divergence(monkeypatch):
    from jaxopt_lite.sweeps.execution import _schedule

    monkeypatch.setattr(_schedule, "SECONDS_A_SEGMENT", 1e-4)
    task = descent("a", evaluate=lambda t, c, d: {"test_loss": jnp.where(c["t"] < 150, jnp.inf, c["w"])})
    assert sweeps.run(task, {"a": 1.0}, steps=200).columns["status"] == ["done"]


def test_merged_optimizers_unpack_like_any_of_optax():
    task = small.task()

    def step(trial, carry, data, key):
        _, update = trial["optimizer"]
        (x, _), _ = data
        grads = jax.grad(lambda w: jnp.mean((x @ w) ** 2))(carry["w"])
        updates, state = update(grads, carry["state"])  # without parameters
        return {"w": carry["w"] + updates, "state": state}, {}

    def init(trial, key):
        w = jnp.ones((4, 2))
        return {"w": w, "state": trial["optimizer"].init(w)}

    scores = lambda t, c, d: {"test_loss": jnp.sum(c["w"] ** 2)}  # noqa: E731
    mine = training.Task(init, step, scores, task.data, merge=True)
    assert (
        sweeps.plan(mine, {"optimizer": sweeps.choice([optimizers.sgd(0.1), optimizers.adam(0.1)])}, steps=5).structures
        == 2
    )
    space = {"optimizer": sweeps.choice([optimizers.sgd(0.1), optimizers.adam(0.1)])}
    found = sweeps.run(mine, space, steps=5).columns["test_loss"]
    alone = [
        float(training.run(mine, {"optimizer": tx}, steps=5).scores["test_loss"])
        for tx in (optimizers.sgd(0.1), optimizers.adam(0.1))
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"evaluate": lambda t, c, d: {"test_loss": jnp.zeros(3)}}, "must give scalars, but 'test_loss' has shape"),
        ({"objective": "test_los"}, "did you mean 'test_loss'"),
        ({"mode": "maximum"}, 'must be "min" or "max"'),
    ],
)
def test_a_task_without_a_ranking_is_refused_before_anything_is_written(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sweeps.run(descent("a", **changes), {"a": 1.0}, steps=5, store=tmp_path / "s")
    assert not (tmp_path / "s").exists()


class Sowing(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        y = self.layer(x)
        self.sow(nnx.Intermediate, "out", y)
        return y


class LinenSowing(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = nn.Dense(3)(x)
        self.sow("losses", "out", y)
        return y + 0 * jax.random.normal(self.make_rng("noise"), y.shape)


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
@pytest.mark.parametrize("build", [lambda t, rngs: Sowing(rngs), lambda t, rngs: LinenSowing()], ids=["nnx", "linen"])
def test_modules_that_sow_can_be_trained(build):
    task = training.supervised(build, small.data(), batch_size=8)
    found = sweeps.run(task, {"optimizer": optimizers.adam(sweeps.values([0.1]))}, steps=60)
    assert found.columns["train_loss"][0] < 0.6


@pytest.mark.parametrize(
    "y, loss, message",
    [
        (np.arange(20) % 3 + 1, "cross_entropy", "labels run up to 3, so the module must give 4"),
        (np.arange(20) % 3 - 1, "cross_entropy", "labels from 0 up"),
        (np.eye(3)[np.arange(20) % 3], "cross_entropy", "argmax"),
        ((np.arange(20) % 3).astype(float), "cross_entropy", "one whole number per example"),
        (np.arange(20) % 2 * 2 - 1, "binary_cross_entropy", "labels 0 and 1"),
        (np.arange(20) % 2, "binary_cross_entropy", r"one output per example; .* shape \(5, 3\)"),
    ],
)
def test_labels_that_would_train_on_nonsense_are_refused(y, loss, message):
    x, trial = np.ones((20, 4), np.float32), {"optimizer": optimizers.sgd(0.1)}
    for run in (training.run, sweeps.run):
        with pytest.raises(ValueError, match=message):
            task = training.supervised(lambda t, rngs: small.Net(activations.tanh, rngs), ((x, y), (x, y)), loss, 5)
            run(task, trial, steps=1)


def test_labels_of_a_choice_are_the_same_in_every_process():
    odd = sweeps.choice([optax.adam(1e-2), optax.sgd(0.1), functools.partial(jax.nn.gelu, approximate=False)])
    assert odd.labels == (
        "GradientTransformationExtraArgs",
        "GradientTransformationExtraArgs #2",
        "gelu(approximate=False)",
    )


def test_columns_carry_the_users_labels_and_plain_names():
    from tests.sweeps.test_space import trials_of

    rate = sweeps.values([0.1])
    space = {
        "size": sweeps.choice({"small": 8, "large": 64}),
        "optimizer": optimizers.chain(optax.clip(1.0), optimizers.sgd(rate)),
    }
    trials = trials_of(space)
    assert [t.columns["size"] for t in trials] == ["small", "large"]
    assert [t.value["size"] for t in trials] == [8, 64]
    assert trials[0].columns["learning_rate"] == 0.1
    with pytest.raises(ValueError, match="'seed'"):
        trials_of({"seed": sweeps.values([1.0])})


def test_draws_from_few_points_do_not_repeat():
    from tests.sweeps.test_space import trials_of

    for search in ("random", "quasi-random"):
        trials = trials_of({"x": sweeps.integers(1, 10)}, 8, search)
        assert len({t.columns["x"] for t in trials}) == 8


def test_a_wide_range_of_integers_is_not_written_out():
    wide = sweeps.integers(0, 2_000_000_000)
    assert repr(wide) == "integers(0, 2000000000)"
    assert wide.quantile(0.5) == 1_000_000_000
    with pytest.raises(ValueError, match="whole numbers"):
        sweeps.integers(0, float("inf"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"seeds": "123"}, "seeds must be"),
        ({"seeds": [0.5]}, "whole numbers"),
        ({"resume": True}, "needs store"),
        ({"space": {"activation": activations.relu, "optimizer": optimizers.sgd}}, r"call it, as adam\(1e-3\)"),
    ],
)
def test_settings_that_were_once_accepted(arguments, message):
    with pytest.raises(ValueError, match=message):
        sweeps.run(**({"task": small.task(), "space": small.space(), "steps": 5} | arguments))


def test_the_settings_of_the_caller_hold_in_the_programs():
    seen = set()

    def build(trial, rngs):
        seen.add(jax.config.jax_default_matmul_precision)
        return small.Net(activations.tanh, rngs)

    task = training.supervised(build, small.data(), batch_size=8)
    with jax.default_matmul_precision("highest"), warnings.catch_warnings():
        sweeps.run(task, {"optimizer": optimizers.sgd(0.1)}, steps=5)
    assert seen == {"highest"}


def test_a_curve_cut_short_has_means_of_the_steps_that_were_made():
    from jaxopt_lite.training._run import means

    points = np.array([*[3.5] * 67, 0.5 * 3.5, *[0.0] * 32])
    found = means(points, 4, 27 * 10, 400)
    np.testing.assert_allclose(found, [3.5] * 68 + [np.nan] * 32)


class Rated(nnx.Module):
    """Keeps a number of the trial as an attribute, in a closure, and in Flax's own dropout."""

    def __init__(self, how, rate, rngs):
        self.layer = nnx.Linear(4, 3, rngs=rngs)
        if how == "attribute":
            self.rate = rate
        elif how == "closure":
            self.scaled = lambda x: x * rate
        else:
            self.drop = nnx.Dropout(rate, rngs=rngs)
        self.how = how

    def __call__(self, x):
        y = self.layer(x)
        return y * self.rate if self.how == "attribute" else self.scaled(y) if self.how == "closure" else self.drop(y)


@pytest.mark.parametrize("how", ["attribute", "closure"])
def test_a_number_of_the_trial_may_be_kept_in_a_module(how):
    task = training.supervised(lambda t, rngs: Rated(how, t["rate"], rngs), small.data(), batch_size=8)
    found = sweeps.run(task, {"optimizer": optimizers.sgd(0.1), "rate": sweeps.values([0.5, 2.0])}, steps=30)
    for rate, loss in zip((0.5, 2.0), found.columns["train_loss"], strict=True):
        alone = training.run(task, {"optimizer": optimizers.sgd(0.1), "rate": rate}, steps=30)
        assert loss == pytest.approx(alone.scores["train_loss"], rel=1e-4)
    assert found.columns["train_loss"][0] != found.columns["train_loss"][1]


def test_a_number_that_flax_needs_at_construction_must_be_a_choice():
    task = training.supervised(lambda t, rngs: Rated("dropout", t["rate"], rngs), small.data(), batch_size=8)
    fixed = {"optimizer": optimizers.sgd(0.1), "rate": 0.2}
    assert sweeps.run(task, fixed, steps=5).columns["status"] == ["done"]
    chosen = sweeps.run(task, fixed | {"rate": sweeps.choice([0.0, 0.2, 0.5])}, steps=5)
    assert chosen.columns["rate"] == [0.0, 0.2, 0.5]
    with pytest.raises(ValueError, match=r"Give that one as choice"):
        sweeps.run(task, fixed | {"rate": sweeps.uniform(0, 0.5)}, trials=3, steps=5)


def test_results_print_in_a_few_lines():
    found = sweeps.run(small.task(), small.space(), seeds=2, steps=5)
    assert len(repr(found).splitlines()) == 6
    assert "12 runs (12 done)" in repr(found)


def test_progress_is_printed_by_default(capfd):
    sweeps.run(small.task(), small.space(), steps=5)
    shown = capfd.readouterr().err
    assert "6/6 trials" in shown and ", best run " in shown
    sweeps.run(small.task(), small.space(), steps=5, progress=False)
    assert capfd.readouterr().err == ""


def test_data_that_would_diverge_are_refused():
    (x, y), test = small.data()
    with pytest.raises(ValueError, match="x has entries that are NaN"):
        training.supervised(lambda t, rngs: None, ((np.where(x > 1, np.nan, x), y), test), batch_size=8)
    with pytest.raises(ValueError, match="must be numbers"):
        training.supervised(lambda t, rngs: None, ((x, np.array(["a"] * len(x))), test), batch_size=8)
