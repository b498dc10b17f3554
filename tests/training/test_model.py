"""The trained model of a run: called in evaluation mode, it has the scores of the run."""

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_lite import activations, optimizers, training
from jaxopt_lite.sweeps.programs._merge import Either
from tests.sweeps import small
from tests.training.test_supervised import BUILDS

OPTIMIZERS = {"plain": optimizers.adam(0.01), "averaged": optimizers.average(optimizers.adam(0.01), decay=0.9)}
CASES = {
    "nnx": ("nnx", activations.relu, "plain"),
    "linen": ("linen", activations.relu, "plain"),
    "nnx, averaged, bound": ("nnx", activations.bind(activations.leaky_relu, negative_slope=0.3), "averaged"),
    "linen, averaged, bound": ("linen", activations.bind(activations.leaky_relu, negative_slope=0.3), "averaged"),
    "nnx, array": ("nnx", activations.bind(activations.leaky_relu, negative_slope=jnp.float32(0.3)), "plain"),
}


def called(model, kind, x):
    if kind == "nnx":
        return model(x)
    module, variables = model
    return module.apply(variables, x, train=False)


@pytest.mark.parametrize("kind, activation, optimizer", CASES.values(), ids=CASES)
def test_the_model_has_the_scores_of_the_run(kind, activation, optimizer):
    """With BatchNorm and Dropout; the loss by numpy in float64."""
    (x, y), (x_test, y_test) = small.data(rows=90)
    data = (x[:40], y[:40]), (x[40:], y[40:]), (x_test, y_test)
    task = training.supervised(BUILDS[kind], data, batch_size=8)
    trained = training.run(task, {"activation": activation, "optimizer": OPTIMIZERS[optimizer]}, steps=30)
    for model in (trained.model(), trained.model()):  # dropout would differ, statistics would move
        for part, (inputs, labels) in zip(("train", "validation", "test"), data, strict=True):
            logits = np.asarray(called(model, kind, inputs), np.float64)
            losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
            assert trained.scores[f"{part}_loss"] == pytest.approx(losses.mean(), rel=1e-5)
            accuracy = (logits.argmax(axis=1) == labels).mean()
            assert trained.scores[f"{part}_accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_the_averaged_parameters_are_those_of_the_model():
    task = training.supervised(BUILDS["linen"], small.data(), batch_size=8)
    for name, optimizer in OPTIMIZERS.items():
        trained = training.run(task, {"activation": activations.relu, "optimizer": optimizer}, steps=30)
        last = jax.tree.leaves(trained.carry.weights.params)
        used = jax.tree.leaves(trained.model()[1]["params"])
        assert all(np.array_equal(a, b) for a, b in zip(last, used, strict=True)) == (name == "plain")


def test_the_model_of_an_optimizer_that_a_sweep_has_merged():
    """The carry of a merged program has the state of the selected optimizer, whose average the model uses."""
    task = training.supervised(lambda trial, rngs: small.Net(trial["activation"], rngs), small.data(), batch_size=8)
    selected = optimizers.average(optimizers.sgd(0.3))
    trial = {"activation": activations.tanh, "optimizer": Either(jnp.int32(1), [optimizers.adam(0.1), selected])}
    carry, step = task.init(trial, jax.random.key(0)), jax.jit(partial(task.step, trial))
    for i in range(3):
        carry, _ = step(carry, task.data, jax.random.key(i))
    x, y = task.data[1]
    loss = optax.softmax_cross_entropy_with_integer_labels(task.model(trial, carry)(x), y).mean()
    scores = jax.jit(partial(task.evaluate, trial))(carry, task.data)
    assert float(loss) == pytest.approx(float(scores["test_loss"]), rel=1e-5)
    unaveraged = small.Net(activations.tanh, nnx.Rngs(0))
    nnx.update(unaveraged, carry.weights.params)
    assert not np.allclose(unaveraged(x), task.model(trial, carry)(x), rtol=1e-4)


def test_the_model_can_be_trained_on():
    """It is a module of its own: what is done to it does not change the result of the run."""
    task = training.supervised(BUILDS["nnx"], small.data(), batch_size=8)
    trained = training.run(task, {"activation": activations.relu, "optimizer": optimizers.adam(0.01)}, steps=5)
    x = jnp.ones((8, 4))
    before = trained.model()(x)
    model = trained.model()
    model.train()
    assert not np.array_equal(model(x), before)
    model.eval()
    assert not np.array_equal(model(x), before)  # other statistics
    np.testing.assert_array_equal(trained.model()(x), before)


@pytest.mark.parametrize("kind", ("nnx", "linen"))
def test_the_model_within_a_compiled_program(kind):
    """Numbers of the trial are traced there, as in a sweep: a task's `evaluate` can look at the model."""
    (x, y), (x_test, y_test) = small.data(rows=90)
    task = training.supervised(BUILDS[kind], ((x, y), (x_test, y_test)), batch_size=8)
    slope = activations.bind(activations.leaky_relu, negative_slope=jnp.float32(0.3))
    trial = {"activation": slope, "optimizer": OPTIMIZERS["plain"]}
    carry = training.run(task, trial, steps=2).carry
    inside = jax.jit(lambda slope, carry: called(task.model(trial | {"activation": slope}, carry), kind, x))
    np.testing.assert_allclose(inside(slope, carry), called(task.model(trial, carry), kind, x), rtol=1e-4, atol=1e-5)


def test_the_model_of_another_carry():
    """As after a checkpoint: the result of a run takes another carry."""
    task = training.supervised(BUILDS["nnx"], small.data(), batch_size=8)
    trial = {"activation": activations.relu, "optimizer": optimizers.adam(0.01)}
    one, other = (training.run(task, trial, steps=steps) for steps in (3, 9))
    x = jnp.ones((8, 4))
    np.testing.assert_array_equal(one._replace(carry=other.carry).model()(x), other.model()(x))
    np.testing.assert_array_equal(task.model(trial, other.carry)(x), other.model()(x))
    assert not np.array_equal(one.model()(x), other.model()(x))


def test_a_task_of_three_functions_has_a_model_if_it_says_so():
    step = lambda trial, carry, data, key: (carry * trial["rate"], {"loss": carry})  # noqa: E731
    task = training.Task(lambda t, k: jnp.float32(8), step, lambda t, c, d: {"test_loss": c}, None)
    with pytest.raises(ValueError, match=r"no function model\(trial, carry\)"):
        training.run(task, {"rate": 0.5}, steps=2).model()
    with_model = task._replace(model=lambda trial, carry: (trial["rate"], float(carry)))
    assert training.run(with_model, {"rate": 0.5}, steps=2).model() == (0.5, 2.0)


def test_a_pickled_result_keeps_its_numbers():
    task = training.supervised(BUILDS["linen"], small.data(), batch_size=8)
    trial = {"activation": activations.relu, "optimizer": optimizers.adam(0.01)}
    trained = training.run(task, trial, steps=5)
    loaded = pickle.loads(pickle.dumps(trained))
    assert (loaded.scores, loaded.curve) == (trained.scores, trained.curve)
    with pytest.raises(ValueError, match=r"or it was pickled; call task\.model"):
        loaded.model()
    module, variables = task.model(trial, loaded.carry)
    assert module.apply(variables, jnp.ones((2, 4)), train=False).shape == (2, 3)
