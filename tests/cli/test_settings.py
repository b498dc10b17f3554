"""How the text of the sweep command's settings is read."""

import numpy as np
import pytest

from jaxopt_lite import sweeps, training
from jaxopt_lite.cli import _settings, _tasks


def test_a_range_of_rates_is_logarithmic():
    assert _settings.rates("1e-4:1:5", None) == [1e-4, 1e-3, 1e-2, 0.1, 1.0]
    rates = _settings.rates(_settings.DEFAULTS["learning_rate"], None)
    assert len(rates) == 8
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(1e4) / 7, rtol=1e-4)


def test_a_list_of_rates_is_kept_without_repetitions():
    assert _settings.rates("0.1,0.01,0.1", None) == [0.1, 0.01]


def test_a_continuous_range_of_rates_is_drawn_logarithmically():
    settings = _settings.DEFAULTS | {"learning_rate": "1e-4:1", "trials": 200, "optimizer": "sgd", "activation": "relu"}
    task = training.builtin("spirals")
    planned = sweeps.plan(task, _tasks.space(task, settings, {}), trials=200, seeds=1, steps=1)
    rates = np.array([trial.columns["learning_rate"] for trial in planned.trials])
    assert rates.min() >= 1e-4 and rates.max() <= 1
    # A uniform draw would put 1 % of the rates below the geometric mean of the bounds, a logarithmic one half.
    assert 0.3 < np.mean(rates < 1e-2) < 0.7


@pytest.mark.parametrize(
    "task, name",
    [("digits", "digits"), ("my study.py:task", "my-study"), ("../folder/mine.py:task", "mine"), ("a/b.c.py:t", "b-c")],
)
def test_a_store_is_named_after_its_task(task, name):
    assert _settings.store_name(task) == name
