"""Experiment 03: its measurement of a small network, and its page from given results."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "03_depth.py"


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("experiment_03", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("window", [(), (3, 3)])
def test_orthogonal_linear_networks_keep_everything(experiment: ModuleType, window: tuple[int, ...]) -> None:
    size = experiment.Size(width=16, examples=8, seeds=1)
    weights = experiment.Weights(experiment.initializers.orthogonal(), 3, size, window)
    found = weights.start(experiment.act.identity, depth=3)
    np.testing.assert_allclose(found.gradients, 1, rtol=1e-4)
    inputs = jax.random.normal(jax.random.split(jax.random.key(1000))[0], weights.shape)
    assert found.signal == pytest.approx(float((inputs**2).mean() ** 0.5), rel=1e-4)


def test_small_gradients_do_not_underflow(experiment: ModuleType) -> None:
    weights = experiment.Weights(experiment.initializers.orthogonal(), 3, experiment.Size(16, 4, 1))
    found = weights.start(lambda x: 1e-12 * x, depth=3)
    np.testing.assert_allclose(found.gradients, [1e-24, 1e-12, 1], rtol=1e-4)


def test_the_page_follows_from_the_results(experiment: ModuleType) -> None:
    size = experiment.Size(trained=(("digits", 10),), trained_functions=("tanh",))
    good = experiment.Start(1.0, 1.0, 0.1, np.ones(100))
    many = {"leaky_relu": good, "tanh": good}
    vanishing = {"relu": good._replace(ratio=1e-15, gradients=np.logspace(-15, 0, 100)), "tanh": good}
    dks = {"tanh": good._replace(ratio=1.5**0.5)}
    curves = {"shaped": {"tanh": good}, "textbook gain": vanishing, "Flax's defaults": vanishing}
    found = experiment.Starts(many, many, many, dks, many, curves, {"leaky_relu": 0.01, "tanh": 0.2})
    names = [name for name, _ in experiment.networks(size)]
    trained = {"digits": {n: experiment.Trained(0.001, 0.9, 0.2 if "'s" in n or "gain" in n else 0.9) for n in names}}
    text = experiment.page(found, trained, size)
    assert len(re.findall(r"\| yes \|$", text, re.MULTILINE)) == 11 and "**no**" not in text
    assert "| relu | 1.0e-15 | 1.0e-15 | 0.10 | 0.10 |" in text
    worse = found._replace(orthogonal=many | {"tanh": good._replace(ratio=1.3)})
    assert len(re.findall(r"\| \*\*no\*\* \|$", experiment.page(worse, trained, size), re.MULTILINE)) == 1
    assert len(experiment.picture(found).axes) == 3
