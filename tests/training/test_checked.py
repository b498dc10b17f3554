"""Common mistakes in tasks, trials and spaces: one error, which names the function and says what to write."""

import jax.numpy as jnp
import pytest

from jaxopt_lite import activations, optimizers, sweeps, training
from tests.sweeps import small

ADAM = optimizers.adam(sweeps.values([0.1, 0.2]))
SPACES = {
    "text": ({"activation": "relu", "optimizer": ADAM}, "'activation' .* is 'relu': .*activations.relu"),
    "texts": ({"activation": sweeps.choice(["relu", "tanh"]), "optimizer": ADAM}, "activations.relu"),
    "list": ({"activation": [activations.relu, activations.tanh], "optimizer": ADAM}, "sweeps.choice"),
    "list around": ([{"activation": activations.relu, "optimizer": ADAM}], 'needs an entry "optimizer"'),
    "number": ({"activation": 3, "optimizer": ADAM}, "'activation' .* is 3: give a function"),
    "no optimizer": ({"activation": activations.relu}, "it has the entries activation\n"),
    "misspelt": (
        {"activaton": activations.relu, "optimizer": ADAM},
        "entries activaton, optimizer: is 'activaton' or 'activation' misspelt",
    ),
}


@pytest.mark.parametrize("space, message", SPACES.values(), ids=SPACES)
def test_mistakes_in_a_space(space, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sweeps.run(small.task(), space, steps=1, progress=False)


def _init(trial, key):
    return jnp.zeros(3)


def _step(trial, w, data, key):
    return w * trial["rate"], {"loss": w.sum()}


def _evaluate(trial, w, data):
    return {"test_loss": w.sum()}


TASKS = {
    "no task": (lambda trial: 1, "a function, not a training.Task"),
    "no function": (training.Task(_init, 3, _evaluate, None), "step .* must be a function, got 3"),
    "a function in the carry": (
        training.Task(lambda t, k: {"w": jnp.ones(3), "activation": jnp.tanh}, _step, _evaluate, None),
        r"returns a carry with .*tanh.* in it; its leaves must be arrays.*eqx.partition",
    ),
    "no metrics": (training.Task(_init, lambda t, w, d, k: w, _evaluate, None), r"step .* returned float32\[3\]"),
    "a number": (
        training.Task(_init, lambda t, w, d, k: (w, w.sum()), _evaluate, None),
        r"returned \(float32\[3\], float32\[\]\)",
    ),
    "another shape": (
        training.Task(_init, lambda t, w, d, k: (w[:2], {"loss": w.sum()}), _evaluate, None),
        r"given, float32\[3\]; it returned float32\[2\]",
    ),
    "another type": (
        training.Task(_init, lambda t, w, d, k: (w > 0, {"loss": w.sum()}), _evaluate, None),
        r"returned bool\[3\]",
    ),
    "no scores": (training.Task(_init, _step, lambda t, w, d: w.sum(), None), "evaluate .* a dict of scores"),
    "no test": (training.Task(_init, _step, _evaluate, None, test=3), "test .* must be a function or None, got 3"),
    "no model": (training.Task(_init, _step, _evaluate, None, model=3), "model .* must be a function or None, got 3"),
    "mode": (training.Task(_init, _step, _evaluate, None, mode="minimize"), "mode .* got 'minimize'"),
}


@pytest.mark.parametrize("task, message", TASKS.values(), ids=TASKS)
def test_mistakes_in_a_task(task, message):
    with pytest.raises((TypeError, ValueError), match=message):
        training.run(task, {"rate": 0.5}, steps=1)
    with pytest.raises((TypeError, ValueError), match=message):
        sweeps.run(task, {"rate": sweeps.values([0.5, 0.6])}, steps=1, progress=False)


def test_a_task_prints_in_a_line_without_the_entries_of_its_arrays():
    assert repr(small.task()) == (
        "Task(name='small', objective='test_accuracy', mode='max', "
        "data=((float32[40, 4], int32[40]), (float32[10, 4], int32[10])))"
    )
    train, test = small.data()
    task = training.streamed(lambda trial, rngs: None, train, batch_size=8, test=test)
    stream = "Stream('40 examples, shuffled', batch=(float32[8, 4], int32[8]), seeded=True, steps=None)"
    assert repr(task.stream) == stream and f"mode='max', stream={stream}, data=(" in repr(task)


TESTS = {
    "no scores": (lambda t, w, d: w.sum(), "test .* must return a dict of scores; it returned float32"),
    "a vector": (lambda t, w, d: {"test_error": w}, "test .* must give scalars, but 'test_error'"),
    "a misspelt entry": (
        lambda t, w, d: {"test_error": t["rat"]},
        "test .* no entry 'rat'.*: is 'rate' or 'rat' misspelt",
    ),
    "a score of evaluate": (_evaluate, "evaluate and test of task 'task' both return a score 'test_loss'"),
}


@pytest.mark.parametrize("test, message", TESTS.values(), ids=TESTS)
def test_mistakes_in_the_test_of_a_task(test, message):
    task = training.Task(_init, _step, _evaluate, None, test=test)
    with pytest.raises((TypeError, ValueError), match=message):
        training.run(task, {"rate": 0.5}, steps=1)


def test_tasks_that_differ_in_their_test_alone_are_scored_by_their_own():
    for value in (1.0, 2.0):
        task = training.Task(_init, _step, _evaluate, None, test=lambda t, w, d, value=value: {"test_error": value})
        assert training.run(task, {"rate": 0.5}, steps=1).scores == {"test_loss": 0.0, "test_error": value}


def _trial():
    return {"activation": activations.relu, "optimizer": optimizers.sgd(0.1)}


CALLS = {
    "two alternatives": (lambda: sweeps.choice(1, 2), r"write choice\(\[1, 2\]\)"),
    "one parameter": (lambda: training.supervised(lambda trial: 1, small.data()), "two arguments, .*a function of "),
    "seed": (
        lambda: training.run(small.task(), _trial(), steps=1, seed=1 << 32),
        "seed must be a whole number from 0 to 2³² − 1, got 4294967296",
    ),
    "steps": (
        lambda: training.run(small.task(), _trial(), steps=1 << 31),
        "steps must be a whole number from 1 to 2³¹ − 1, got 2147483648",
    ),
    "steps of a sweep": (lambda: sweeps.plan(small.task(), small.space(), steps=1 << 31), "from 1 to 2³¹ − 1"),
    "no such name": (lambda: sweeps.loguniform, "did you mean 'log_uniform'"),
    "row numbers": (
        lambda: sweeps.Results(
            {"status": ["done"], "test_loss": [1.0]}, (), "test_loss", "min", {"seeds": [0]}, [{}], None
        ).compare(0, 1),
        "rows of settings",
    ),
}


@pytest.mark.parametrize("call, message", CALLS.values(), ids=CALLS)
def test_mistakes_in_a_call(call, message):
    with pytest.raises((TypeError, ValueError, AttributeError), match=message):
        call()
