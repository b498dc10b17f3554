"""Data in two and in three parts: which part selects, which one only scores, and errors that name the part."""

import jax
import numpy as np
import pytest
from flax import nnx

from jaxopt_lite import activations, optimizers, training
from tests.sweeps import small


def net(trial, rngs):
    return small.Net(activations.tanh, rngs)


def in_three(loss="cross_entropy"):
    """Small data in three parts of different sizes: a task, and a trial for it."""
    (x, y), (x_test, y_test) = small.data(rows=60)
    data = (x[:30], y[:30]), (x[30:], y[30:]), (x_test[:7], y_test[:7])
    return training.supervised(net, data, loss, batch_size=10), {"optimizer": optimizers.adam(0.01)}


def test_the_validation_part_selects_and_the_test_part_scores_finished_runs():
    task, trial = in_three()
    assert (task.objective, task.mode) == ("validation_accuracy", "max")
    parts = "train", "validation", "test"
    assert task.modes == {f"{p}_loss": "min" for p in parts} | {f"{p}_accuracy": "max" for p in parts}
    trained = training.run(task, trial, steps=40)
    for function, expected in ((task.evaluate, parts[:2]), (task.test, parts[2:])):
        found = jax.eval_shape(function, trial, trained.carry, task.data)
        assert set(found) == {f"{part}_{score}" for part in expected for score in ("loss", "accuracy")}
    model = net(trial, nnx.Rngs(1))
    nnx.update(model, trained.carry.weights.params)
    for part, (x, y) in zip(parts, task.data, strict=True):
        logits, labels = np.asarray(model(x), np.float64), np.asarray(y)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), labels]
        assert trained.scores[f"{part}_loss"] == pytest.approx(losses.mean(), rel=1e-5)
        assert trained.scores[f"{part}_accuracy"] == pytest.approx((logits.argmax(axis=1) == labels).mean(), abs=1e-6)
    assert len(set(trained.scores.values())) == 6


def test_three_parts_train_as_the_first_of_them_does_with_two():
    task, trial = in_three()
    first, validation, _ = task.data
    two = training.supervised(net, (first, validation), batch_size=10)
    assert (two.objective, two.test) == ("test_accuracy", None)
    scores, other = (training.run(one, trial, steps=40).scores for one in (task, two))
    assert other == {
        name.replace("validation", "test"): score for name, score in scores.items() if not name.startswith("test")
    }


def test_without_accuracy_the_validation_loss_selects():
    task, trial = in_three(loss=lambda outputs, y: (outputs[:, 0] - y) ** 2)
    assert (task.objective, task.mode) == ("validation_loss", "min")
    assert set(training.run(task, trial, steps=2).scores) == {"train_loss", "validation_loss", "test_loss"}


def test_binary_labels_select_with_one_output():
    (x, y), (x_test, y_test) = small.data(rows=60)
    data = (x[:30], y[:30] > 0), (x[30:], y[30:] > 0), (x_test, y_test > 0)
    build = lambda trial, rngs: nnx.Linear(4, 1, rngs=rngs)  # noqa: E731
    task = training.supervised(build, data, "binary_cross_entropy", batch_size=10)
    assert (task.objective, task.mode) == ("validation_accuracy", "max")
    trained = training.run(task, {"optimizer": optimizers.adam(0.1)}, steps=50)
    right = (np.asarray(trained.model()(x[30:]))[:, 0] > 0) == (y[30:] > 0)
    assert trained.scores["validation_accuracy"] == pytest.approx(right.mean(), abs=1e-6)


WRONG = {
    "lengths": (np.ones((3, 4)), np.zeros(2, int), "cross_entropy", "the {part} x and y need equal, non-zero lengths"),
    "nothing": (np.ones((0, 4)), np.zeros(0, int), "cross_entropy", "the {part} x and y need equal, non-zero lengths"),
    "shape": (np.ones((3, 5)), np.zeros(3, int), "cross_entropy", "training and {part} x differ in shape"),
    "text": (np.full((3, 4), "a"), np.zeros(3, int), "cross_entropy", r"\bx{suffix} must be numbers"),
    "NaN": (np.full((3, 4), np.nan), np.zeros(3, int), "cross_entropy", r"\bx{suffix} has entries that are NaN"),
    "infinite y": (np.ones((3, 4)), np.full(3, np.inf), "mse", r"\by{suffix} has entries that are NaN or infinite"),
    "one-hot": (np.ones((3, 4)), np.eye(3), "cross_entropy", "the {part} y as one whole number per example"),
    "below 0": (np.ones((3, 4)), np.array([0, 1, -1]), "cross_entropy", "got {part} labels from -1 to 1"),
    "not 0 and 1": (np.ones((3, 4)), np.array([0, 1, 2]), "binary_cross_entropy", "got {part} labels from 0 to 2"),
}
SUFFIXES = {"training": "", "validation": "_val", "test": "_test"}


@pytest.mark.parametrize(
    "wrong, part", [(w, p) for w in WRONG for p in SUFFIXES if (w, p) != ("shape", "training")]
)  # the shape of the training part is the right one
def test_errors_name_the_part_of_the_data(wrong, part):
    x, y, loss, message = WRONG[wrong]
    good = np.ones((4, 4)), np.array([0, 1, 0, 1])
    data = [(x, y) if part == each else good for each in SUFFIXES]
    with pytest.raises(ValueError, match=message.format(part=part, suffix=SUFFIXES[part])):
        training.supervised(net, data, loss, batch_size=1)


def test_labels_of_every_part_count_for_the_number_of_classes():
    good = np.ones((4, 4)), np.array([0, 1, 0, 2])
    for nth in range(3):
        data = [(x, y + 3 * (part == nth)) for part, (x, y) in enumerate([good] * 3)]
        task = training.supervised(net, data, batch_size=1)
        with pytest.raises(ValueError, match="must give 6 or more outputs"):
            training.run(task, {"optimizer": optimizers.sgd(0.1)}, steps=1)
