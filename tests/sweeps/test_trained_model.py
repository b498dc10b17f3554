"""The trained model of a sweep: in this process, in a new one, and as a checkpoint."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxopt_lite import optimizers, sweeps, training
from tests.sweeps import small

STEPS = 30


def swept(store=None, **options):
    options = {"seeds": 2, "steps": STEPS, "progress": False} | options
    return sweeps.run(small.task(), small.space(), store=store, **options)


def accuracy(model, task):
    _, (x, y) = task.data
    return float(jnp.mean(jnp.argmax(model(x), axis=-1) == y))


def row_of(results, setting, seed):
    return next(results.rows()[row] for row in setting.trials if results.columns["seed"][row] == seed)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("merge", [False, True])
def test_a_model_has_the_score_in_the_table(tmp_path, stored, merge):
    results = swept(tmp_path / "s" if stored else None, keep="all", layout=sweeps.Layout(merge=merge))
    for setting in results.settings()[:3]:
        for seed in (0, 1):
            score = row_of(results, setting, seed)["test_accuracy"]
            assert accuracy(results.model(setting, seed), small.task()) == pytest.approx(score, abs=1e-6)
    best = row_of(results, results.best()[0], 0)["test_accuracy"]
    assert accuracy(results.model(), small.task()) == pytest.approx(best, abs=1e-6)


PROGRAM = """
import sys
import jax.numpy as jnp
from jaxopt_lite import sweeps
from tests.sweeps import small
results = sweeps.Results.load(sys.argv[1], task=small.task(), space=small.space())
_, (x, y) = small.task().data
print(float(jnp.mean(jnp.argmax(results.model()(x), axis=-1) == y)))
"""


def test_a_new_process_gets_the_score_of_the_ledger(tmp_path):
    results = swept(tmp_path / "s")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "s")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(row_of(results, results.best()[0], 0)["test_accuracy"], abs=1e-6)


def test_a_linen_module_comes_with_its_variables():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(3)(linen.tanh(linen.Dense(8)(x)))

    data = small.data()
    task = training.supervised(lambda trial, rngs: Net(), data, batch_size=8)
    results = sweeps.run(task, {"optimizer": optimizers.adam(sweeps.values([0.01, 0.1]))}, steps=STEPS, progress=False)
    module, variables = results.model()
    _, (x, y) = data
    found = np.mean(np.argmax(module.apply(variables, x), axis=-1) == y)
    assert found == pytest.approx(results.best()[0].scores["test_accuracy"].mean, abs=1e-6)


def test_errors(tmp_path):
    results = swept(tmp_path / "s")
    best, *_, last = [s for s in results.settings() if s.done == 2]
    with pytest.raises(ValueError, match=r'was not kept.*keep="all"'):
        results.model(last)
    with pytest.raises(ValueError, match=r"ran with the seeds \[0, 1\], not 5"):
        results.model(best, seed=5)
    loaded = sweeps.Results.load(tmp_path / "s")
    with pytest.raises(ValueError, match=r"Results.load\(store, task=task, space=space\)"):
        loaded.model()
    with pytest.raises(sweeps.StoreError, match="has the settings activation, optimizer, learning_rate"):
        sweeps.Results.load(tmp_path / "s", task=small.task(), space={"rate": sweeps.values([0.1])})
    with pytest.raises(ValueError, match="load was not given the space"):
        sweeps.Results.load(tmp_path / "s", task=small.task())
    bare = small.task()._replace(model=None)
    with pytest.raises(ValueError, match="says nothing of its model"):
        sweeps.Results.load(tmp_path / "s", task=bare, space=small.space()).model()
    wide = training.supervised(lambda trial, rngs: small.Net(trial["activation"], rngs), small.data(60), batch_size=8)
    with pytest.raises(sweeps.StoreError, match="not that of this task"):
        sweeps.Results.load(tmp_path / "s", task=wide, space=small.space()).model()
