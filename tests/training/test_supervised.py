"""Supervised tasks against the same arithmetic by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lite import activations, optimizers, training
from tests.sweeps import small


class Linear(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        return self.layer(x)


def regression(rows=30):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    y = (x @ rng.normal(size=(3, 2)) + 0.1 * rng.normal(size=(rows, 2))).astype(np.float32)
    return (x[:20], y[:20]), (x[20:], y[20:])


def weights(carry):
    (bias, kernel) = (np.asarray(a, np.float64) for a in jax.tree.leaves(carry.weights.params))
    return kernel, bias


@pytest.mark.parametrize("batch_size", ["full", 20, 5, 1])
def test_gradient_descent_is_the_formula(batch_size):
    """Ten steps of descent on squared error, in float64 numpy, over the same rows."""
    task = training.supervised(lambda trial, rngs: Linear(rngs), regression(), "mse", batch_size)
    trial, key = {"optimizer": optimizers.sgd(0.1)}, jax.random.key(0)
    carry = task.init(trial, key)
    kernel, bias = weights(carry)
    (x, y), (x_test, y_test) = regression()
    step = jax.jit(lambda carry, key: task.step(trial, carry, task.data, key))
    for i in range(10):
        before = carry
        carry, metrics = step(carry, jax.random.fold_in(key, i))
        rows = slice(None)
        if before.order is not None:
            size = batch_size
            at = int(carry.order.spent) - 1
            rows = np.asarray(carry.order.rows)[at * size : (at + 1) * size]
        error = x[rows] @ kernel + bias - y[rows]
        assert float(metrics["loss"]) == pytest.approx((error**2).mean(), rel=1e-5)
        grad = 2 * error / error.size
        kernel, bias = kernel - 0.1 * x[rows].T @ grad, bias - 0.1 * grad.sum(axis=0)
    np.testing.assert_allclose(weights(carry)[0], kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights(carry)[1], bias, rtol=1e-5, atol=1e-6)
    scores = task.evaluate(trial, carry, task.data)
    assert float(scores["test_loss"]) == pytest.approx(((x_test @ kernel + bias - y_test) ** 2).mean(), rel=1e-4)
    assert set(scores) == {"train_loss", "test_loss"}
    assert (task.objective, task.mode) == ("test_loss", "min")


@pytest.mark.parametrize("rows", [1030, 2048, 2500])
def test_large_data_are_scored_in_parts_whose_mean_is_exact(rows):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 4)).astype(np.float32), rng.integers(0, 3, rows).astype(np.int32)
    task = training.supervised(lambda trial, rngs: small.Net(activations.tanh, rngs), ((x, y), (x[:7], y[:7])))
    trial = {"optimizer": optimizers.sgd(0.1)}
    carry = task.init(trial, jax.random.key(0))
    scores = task.evaluate(trial, carry, task.data)
    net = small.Net(activations.tanh, nnx.Rngs(1))
    nnx.update(net, carry.weights.params)
    logits = np.asarray(net(x), np.float64)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(rows), y]
    assert float(scores["train_loss"]) == pytest.approx(losses.mean(), rel=1e-5)
    assert float(scores["train_accuracy"]) == pytest.approx((logits.argmax(axis=1) == y).mean(), abs=1e-6)
    assert float(scores["test_loss"]) == pytest.approx(losses[:7].mean(), rel=1e-5)


class Normed(nnx.Module):
    def __init__(self, activation, rngs):
        self.inner, self.outer = nnx.Linear(4, 16, rngs=rngs), nnx.Linear(16, 3, rngs=rngs)
        self.norm, self.drop = nnx.BatchNorm(16, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.activation = activation

    def __call__(self, x):
        return self.outer(self.drop(self.activation(self.norm(self.inner(x)))))


class LinenNormed(nn.Module):
    activation: object

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(16)(x))
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=not train)(self.activation(x)))


BUILDS = {
    "nnx": lambda trial, rngs: Normed(trial["activation"], rngs),
    "linen": lambda trial, rngs: LinenNormed(trial["activation"]),
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_statistics_and_dropout_work_in_both_kinds_of_module(build):
    task = training.supervised(build, small.data(), batch_size=8)
    trial = {"activation": activations.relu, "optimizer": optimizers.adam(0.01)}
    trained = training.run(task, trial, steps=60)
    first, last = trained.curve["loss"][0][1], trained.curve["loss"][-1][1]
    assert last < 0.7 * first
    means = [x for x in jax.tree.leaves(trained.carry.weights.state) if x.shape == (16,)]
    assert len(means) == 2
    assert all(float(jnp.abs(m).sum()) > 0 for m in means)
    again = task.evaluate(trial, trained.carry, task.data)
    assert all(float(again[k]) == pytest.approx(trained.scores[k], rel=1e-5) for k in again)  # no dropout, no drift


@pytest.mark.parametrize("slopes", [(0.1, 0.5)])
def test_a_bound_activation_is_data(slopes):
    from jaxopt_lite import sweeps

    task = small.task()
    bound = activations.bind(activations.leaky_relu, negative_slope=sweeps.values(slopes))
    found = sweeps.run(task, {"activation": bound, "optimizer": optimizers.sgd(0.1)}, steps=30)
    assert found.columns["negative_slope"] == list(slopes)
    assert found.facts["last"]["programs"] <= 2
    for slope, loss in zip(slopes, found.columns["train_loss"], strict=True):
        fixed = activations.bind(activations.leaky_relu, negative_slope=slope)
        alone = training.run(task, {"activation": fixed, "optimizer": optimizers.sgd(0.1)}, steps=30)
        assert loss == pytest.approx(alone.scores["train_loss"], rel=1e-4)
    assert found.columns["train_loss"][0] != found.columns["train_loss"][1]


def test_an_average_is_evaluated_with_the_averaged_parameters():
    from jaxopt_lite import sweeps

    task = training.supervised(lambda trial, rngs: Linear(rngs), regression(), "mse", 5)
    trained = training.run(task, {"optimizer": optimizers.average(optimizers.sgd(0.3))}, steps=20)
    (x, y), (x_test, y_test) = regression()
    mean = optimizers.averaged(trained.carry.optimizer, trained.carry.weights.params)
    (bias, kernel) = (np.asarray(a, np.float64) for a in jax.tree.leaves(mean))
    for score, inputs, targets in (("train_loss", x, y), ("test_loss", x_test, y_test)):
        expected = ((inputs @ kernel + bias - targets) ** 2).mean()
        assert trained.scores[score] == pytest.approx(float(expected), rel=1e-4)

    rules = {"plain": optimizers.sgd(0.3), "averaged": optimizers.average(optimizers.sgd(0.3))}
    for merge in (True, False):  # one program for both, and one for each
        layout = sweeps.Layout(merge=merge)
        found = sweeps.run(task, {"optimizer": sweeps.choice(rules)}, steps=20, layout=layout)
        plain, averaged = found.columns["test_loss"]
        assert averaged == pytest.approx(trained.scores["test_loss"], rel=1e-4)
        assert plain != pytest.approx(averaged, rel=1e-4)


@pytest.mark.parametrize("build", ["nnx", "linen"])
def test_every_step_draws_another_dropout_mask(build):
    """With a learning rate of 0 and the full batch, the loss varies by dropout alone."""
    task = training.supervised(BUILDS[build], small.data(), batch_size="full")
    trial = {"activation": activations.relu, "optimizer": optimizers.sgd(0.0)}
    losses = [loss for _, loss in training.run(task, trial, steps=6).curve["loss"]]
    assert len(set(losses)) == 6
    again = [loss for _, loss in training.run(task, trial, steps=6).curve["loss"]]
    assert again == losses
    other = [loss for _, loss in training.run(task, trial, steps=6, seed=1).curve["loss"]]
    assert not set(losses) & set(other)


def test_a_run_in_stretches_has_the_bits_of_the_run_in_one_piece():
    from jaxopt_lite.training import _run

    task, trial = small.task(), {"activation": activations.tanh, "optimizer": optimizers.adam(0.01)}

    @jax.jit
    def stretch(carry, curve, span):
        return _run.advance(task, trial, carry, curve, task.data, 7, span)

    def begun():
        carry = _run.start(task, trial, 7)
        return carry, _run.Curve(_run.blank(task, trial, carry, task.data), jnp.int32(1))

    whole = stretch(*begun(), jnp.array([0, 50]))
    state = begun()
    for a, b in [(0, 1), (1, 20), (20, 33), (33, 50)]:
        state = stretch(*state, jnp.array([a, b]))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_curve_holds_means_of_the_loss():
    """250 steps are 84 points of 3 steps; the last one has one."""
    step = lambda trial, carry, data, key: (carry + 1, {"loss": carry})  # noqa: E731
    task = training.Task(lambda t, k: jnp.float32(0), step, lambda t, c, d: {"test_loss": c}, None)
    curve = training.run(task, {}, steps=250).curve["loss"]
    assert len(curve) == 84
    assert curve[0] == (3, pytest.approx(1.0))
    assert curve[1] == (6, pytest.approx(4.0))
    assert curve[-1] == (250, pytest.approx(249.0))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"loss": "cross_entrpy"}, "did you mean 'cross_entropy'"),
        ({"loss": 3}, "name or a function"),
        ({"batch_size": 0}, "number from 1 to the 40 training rows"),
        ({"batch_size": 41}, "number from 1 to the 40 training rows"),
        ({"batch_size": "all"}, '"full"'),
        ({"data": 5}, r"\(\(x, y\), \(x_test, y_test\)\) or \(\(x, y\), \(x_val, y_val\), \(x_test, y_test\)\)"),
        ({"data": small.data()[:1]}, "data must be"),
        ({"data": 2 * small.data()}, "data must be"),
        ({"data": ((np.ones((3, 4)), np.ones(3)), np.ones((3, 4)))}, "data must be"),
        ({"data": ((np.ones((3, 4)), np.ones(2)), (np.ones((3, 4)), np.ones(3)))}, "training x and y need equal"),
        ({"data": ((np.ones((3, 4)), np.ones(3)), (np.ones((3, 5)), np.ones(3)))}, "differ in shape"),
        ({"build": None}, "build must be a function"),
    ],
)
def test_errors_of_supervised(arguments, message):
    given = {"build": BUILDS["nnx"], "data": small.data()} | arguments
    with pytest.raises((ValueError, TypeError), match=message):
        training.supervised(**given)


@pytest.mark.parametrize(
    "build, loss, trial, message",
    [
        (lambda trial, rngs: 5, "cross_entropy", {"optimizer": optimizers.sgd(0.1)}, "not a Flax module"),
        (BUILDS["nnx"], lambda out, y: out.mean(), {"optimizer": optimizers.sgd(0.1)}, "one number per example"),
        (BUILDS["nnx"], "cross_entropy", {}, 'entry "optimizer"'),
        (BUILDS["nnx"], "cross_entropy", {"optimizer": {"lr": 1.0}}, "has the functions init and update"),
        (BUILDS["nnx"], "cross_entropy", {"optimizer": optimizers.sgd}, r"call it, as adam\(1e-3\)"),
        (BUILDS["nnx"], "cross_entropy", {"optimiser": optimizers.sgd(0.1)}, "rename its entry 'optimiser'"),
    ],
)
def test_errors_of_trials(build, loss, trial, message):
    task = training.supervised(build, small.data(), loss, batch_size=8)
    with pytest.raises((ValueError, TypeError), match=message):
        training.run(task, {"activation": activations.relu, **trial}, steps=1)


def test_shapes_and_ranges_of_the_data_sets():
    parts = training.builtin("digits").data
    assert [(x.shape, y.shape) for x, y in parts] == [((rows, 64), (rows,)) for rows in (1077, 360, 360)]
    assert (float(parts[0][0].min()), float(parts[0][0].max())) == (0.0, 1.0)
    assert all(np.bincount(y).min() >= 34 for _, y in parts[1:])  # stratified
    parts = training.builtin("spirals").data
    assert [x.shape for x, _ in parts] == [(1000, 2)] * 3
    assert all(np.bincount(y).tolist() == [500, 500] for _, y in parts)
    # the first point to train on and the last to test on, as in version 0.1.0, which had no validation part
    np.testing.assert_allclose(parts[0][0][0], [-0.6602284, 0.47966725], rtol=1e-6)
    np.testing.assert_allclose(parts[2][0][-1], [-0.24290544, 0.36287716], rtol=1e-6)


@pytest.mark.parametrize("name", ["digits", "spirals"])
def test_the_parts_of_a_data_set_have_no_example_in_common(name):
    from jaxopt_lite.training._builtin import DATA

    train, validation, test = ({x.tobytes() for x in part} for part, _ in DATA[name]())
    assert not train & validation and not train & test and not validation & test


def test_the_test_part_of_the_digits_is_that_of_one_stratified_split():
    datasets, selection = pytest.importorskip("sklearn.datasets"), pytest.importorskip("sklearn.model_selection")
    x, y = datasets.load_digits(return_X_y=True)
    _, x_test, _, y_test = selection.train_test_split(x, y, test_size=360, stratify=y, random_state=0)
    found = training.builtin("digits").data[2]
    np.testing.assert_array_equal(np.asarray(found[0]) * 16, x_test)
    np.testing.assert_array_equal(found[1], y_test)


@pytest.mark.parametrize("name", ["digits", "spirals"])
def test_built_in_tasks_select_by_the_validation_part(name):
    task = training.builtin(name)
    assert (task.objective, task.mode, task.test is None) == ("validation_accuracy", "max", False)


def test_the_spirals_are_learned_and_not_by_a_line():
    task = training.builtin("spirals")
    trial = {"activation": activations.tanh, "optimizer": optimizers.adam(0.01)}
    assert training.run(task, trial, steps=2000).scores["test_accuracy"] > 0.97
    line = training.run(task, trial | {"activation": activations.identity}, steps=2000)
    assert line.scores["test_accuracy"] < 0.75


def test_mnist1d_is_the_authors(tmp_path, monkeypatch):
    pytest.importorskip("mnist1d")
    import warnings

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the authors' package
        task = training.builtin("mnist1d")
    assert [p.name for p in (tmp_path / "jaxopt_lite").iterdir()] == ["mnist1d.npz"]
    assert [x.shape for x, _ in task.data] == [(3000, 40), (1000, 40), (1000, 40)]
    assert all(sorted(set(np.asarray(y).tolist())) == list(range(10)) for _, y in task.data)
    with np.load(tmp_path / "jaxopt_lite" / "mnist1d.npz") as made:
        x, x_test = made["x"].astype(np.float32), made["x_test"].astype(np.float32)
    train, validation = ({row.tobytes() for row in np.asarray(part)} for part, _ in task.data[:2])
    assert train | validation == {row.tobytes() for row in x} and not train & validation
    np.testing.assert_array_equal(task.data[2][0], x_test)


def test_an_unknown_task_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        training.builtin("digit")


def test_builtin_tasks_refuse_settings_that_they_do_not_read():
    trial = {"activation": activations.relu, "optimizer": optimizers.adam(0.01), "optimiser": optimizers.sgd(0.1)}
    with pytest.raises(ValueError, match="task 'spirals' has no setting 'optimiser': its trials have activation and"):
        training.run(training.builtin("spirals"), trial, steps=7)


def test_a_result_prints_in_a_line():
    trained = training.run(small.task(), {"activation": activations.relu, "optimizer": optimizers.adam(0.01)}, steps=7)
    text = repr(trained)
    assert f"test_loss={trained.scores['test_loss']:.4g}" in text and "steps=7" in text
    assert "float32[" in text and "Array(" not in text and len(text) < 700


def test_errors_of_a_module_name_the_shape_of_its_input():
    images = (np.zeros((20, 2, 2, 1), np.float32), np.arange(20) % 2)
    task = training.supervised(lambda trial, rngs: nnx.Linear(4, 2, rngs=rngs), (images, images), batch_size=5)
    with pytest.raises(TypeError) as error:
        training.run(task, {"optimizer": optimizers.sgd(0.1)}, steps=2)
    assert "The module was called with x of shape (5, 2, 2, 1), float32." in error.value.__notes__
