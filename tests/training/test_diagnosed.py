"""A run that is diagnosed: the same training bit for bit, with the state of its layers at a few steps."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lite import activations, optimizers, training
from jaxopt_lite.diagnostics import diagnose
from tests.sweeps import small
from tests.training.test_supervised import BUILDS

TRIAL = {"activation": activations.tanh, "optimizer": optimizers.adam(0.01)}


@pytest.mark.parametrize("api", ["nnx", "linen"])
def test_the_training_does_not_change_by_a_bit(api: str) -> None:
    """With dropout and batch normalisation."""
    data = small.data()
    plain, diagnosed = (
        training.run(training.supervised(BUILDS[api], data, batch_size=8, diagnose=on), TRIAL, steps=70)
        for on in (False, True)
    )
    for one, other in zip(jax.tree.leaves(plain.carry), jax.tree.leaves(diagnosed.carry), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert (plain.scores, plain.curve) == (diagnosed.scores, diagnosed.curve)
    assert list(diagnosed.diagnoses) == [0, 32, 70]
    assert not plain.diagnoses


def test_the_last_diagnosis_is_that_of_the_trained_model() -> None:
    (x, y), test = small.data()
    task = training.supervised(
        lambda t, rngs: small.Net(t["activation"], rngs), ((x, y), test), diagnose=True, batch_size=8
    )
    trained = training.run(task, TRIAL, steps=70)
    expected, found = diagnose(trained.model(), x, y), trained.diagnoses[70]  # 40 examples, so all of them
    assert found.loss == pytest.approx(trained.scores["train_loss"], rel=1e-4)
    assert [layer.name for layer in found.layers] == ["inner", "outer"]
    for one, other in zip(found.layers, expected.layers, strict=True):
        for field in ("rms", "offset", "dead", "saturated", "gradient", "gain"):
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-3, err_msg=field)
    again = pickle.loads(pickle.dumps(trained))
    assert again.diagnoses[32].verdict == trained.diagnoses[32].verdict


def test_dead_units_are_seen_from_the_start() -> None:
    def build(trial: Any, rngs: nnx.Rngs) -> small.Net:
        net = small.Net(trial["activation"], rngs)
        net.inner.bias = nnx.Param(jnp.full(8, -20.0))
        return net

    task = training.supervised(build, small.data(), batch_size=8, diagnose=True)
    trained = training.run(task, TRIAL | {"activation": activations.relu}, steps=9)
    assert [one.verdict for one in trained.diagnoses.values()] == ["dead"] * 2


def test_tasks_of_which_no_layer_is_known() -> None:
    task = small.task()
    with pytest.raises(ValueError, match="diagnose=True and no function record"):
        training.run(task._replace(diagnose=True, record=None), TRIAL, steps=1)
    with pytest.raises(TypeError, match=r"record of task 'small' must return what diagnostics\.record gives"):
        training.run(task._replace(diagnose=True, record=lambda *_: 1.0), TRIAL, steps=1)
    with pytest.raises(ValueError, match="needs at least 2 training examples"):
        x, y = np.zeros((1, 4), "float32"), np.zeros(1, int)
        training.supervised(BUILDS["nnx"], ((x, y), (x, y)), batch_size=1, diagnose=True)

    class Bare(nnx.Module):
        def __call__(self, x: Any) -> Any:
            return x

    bare = training.supervised(lambda t, rngs: Bare(), small.data(), batch_size=8, diagnose=True)
    with pytest.raises(ValueError, match="no layer of the model is called"):
        training.run(bare, TRIAL, steps=1)
