"""Spaces, and the trials they give."""

import itertools

import numpy as np
import pytest

from jaxopt_lite import activations, optimizers
from jaxopt_lite.sweeps import choice, integers, log_uniform, uniform, values
from jaxopt_lite.sweeps.spaces._trials import Trials, points, structures


def trials_of(space, *arguments, **options):
    picked = points(space, *arguments, **options)
    make = Trials(space, structures(space))
    return [make(picks) for picks in picked]


def test_quantiles_follow_their_distributions():
    u = np.linspace(0, 1, 1001)[:-1]
    np.testing.assert_allclose([uniform(2, 6).quantile(x) for x in u], 2 + 4 * u)
    np.testing.assert_allclose([log_uniform(1e-4, 1).quantile(x) for x in u], 10 ** (-4 + 4 * u))
    assert [integers(3, 5).quantile(x) for x in (0, 0.32, 0.34, 0.99)] == [3, 3, 4, 5]
    assert [values([7, 9]).quantile(x) for x in (0, 0.49, 0.5, 0.99)] == [7, 7, 9, 9]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: uniform(1, 1), "low < high"),
        (lambda: uniform(0, float("inf")), "finite"),
        (lambda: log_uniform(0, 1), "positive"),
        (lambda: log_uniform(-1, 1), "positive"),
        (lambda: integers(0.5, 2), "whole"),
        (lambda: values([]), "at least one number"),
        (lambda: values(["a"]), "choice"),
        (lambda: values([1, 3_000_000_000]), "a whole number of more than 32 bits"),
        (lambda: values([True]), "choice"),
        (lambda: choice([]), "at least one alternative"),
        (lambda: choice("relu"), "list of alternatives"),
    ],
)
def test_errors_of_distributions(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_the_grid_is_every_combination():
    space = {
        "activation": choice([activations.relu, activations.tanh]),
        "optimizer": choice(
            [optimizers.sgd(values([0.1, 0.2])), optimizers.adam(values([0.3]), b1=values([0.8, 0.9]))]
        ),
    }
    found = [tuple(t.columns.values()) for t in trials_of(space)]
    expected = [
        (a, *o)
        for a, o in itertools.product(
            ["relu", "tanh"], [("sgd", 0.1, None), ("sgd", 0.2, None), ("adam", 0.3, 0.8), ("adam", 0.3, 0.9)]
        )
    ]
    assert found == expected
    assert list(trials_of(space)[0].columns) == ["activation", "optimizer", "learning_rate", "b1"]


def test_the_value_of_a_trial_agrees_with_its_columns():
    space = {"optimizer": optimizers.adam(log_uniform(1e-4, 1e-1)), "rate": uniform(0, 1), "width": choice([8, 16])}
    for trial in trials_of(space, 20, seed=3):
        assert trial.value["optimizer"] == optimizers.adam(trial.columns["learning_rate"])
        assert trial.value["rate"] == trial.columns["rate"]
        assert trial.value["width"] == trial.columns["width"]


def test_a_drawn_integer_is_data_and_a_plain_one_is_static():
    (trial, *_) = trials_of({"depth": 3, "warmup": integers(5, 5), "optimizer": optimizers.sgd(0.1)})
    assert type(trial.value["depth"]) is int
    assert isinstance(trial.value["warmup"], np.int32)


def test_places_of_one_name_get_columns_of_different_names():
    space = {"inner": {"rate": values([1.0])}, "outer": {"rate": values([2.0])}}
    assert trials_of(space)[0].columns == {"inner.rate": 1.0, "outer.rate": 2.0}


def test_labels_of_one_name_show_the_settings_that_differ():
    optimizer = choice(
        [optimizers.sgd(values([0.1])), optimizers.sgd(0.5, momentum=0.9), optimizers.sgd(0.5, momentum=0.5)]
    )
    assert optimizer.labels == ("sgd", "sgd(momentum=0.9)", "sgd(momentum=0.5)")
    scheduled = choice([optimizers.adam(0.1), optimizers.adam(optimizers.exponential_decay(values([0.1]), 10, 0.5))])
    assert scheduled.labels == ("adam", "adam(exponential_decay)")


def test_draws_depend_on_the_seed_alone():
    space = {"optimizer": choice([optimizers.sgd(log_uniform(1e-3, 1)), optimizers.adam(log_uniform(1e-4, 0.1))])}
    columns = [[t.columns for t in trials_of(space, 50, seed=seed)] for seed in (0, 0, 1)]
    assert columns[0] == columns[1] != columns[2]
    names = [c["optimizer"] for c in columns[0]]
    assert 10 < names.count("sgd") < 40


def test_quasi_random_points_leave_fewer_gaps():
    space = {"rate": uniform(0, 1), "optimizer": optimizers.sgd(uniform(0, 1))}

    def widest_gap(search):
        rates = np.array([t.columns["rate"] for t in trials_of(space, 64, search, seed=0)])
        return np.diff(np.sort(rates)).max()

    assert widest_gap("quasi-random") < 2.1 / 64
    assert widest_gap("random") > 2.1 / 64


@pytest.mark.parametrize(
    "space, options, message",
    [
        ({"optimizer": optimizers.sgd(log_uniform(1e-4, 1))}, {}, "optimizer.learning_rate is a continuous range"),
        ({"x": uniform(0, 1)}, {"search": "random"}, "how many trials"),
        ({"x": uniform(0, 1)}, {"trials": 0}, "at least 1"),
        ({"x": uniform(0, 1)}, {"trials": 5, "search": "sobol"}, "search must be"),
        ({"x": uniform(0, 1)}, {"trials": 5, "search": "quasirandom"}, "did you mean 'quasi-random'"),
    ],
)
def test_errors_of_searches(space, options, message):
    with pytest.raises(ValueError, match=message):
        trials_of(space, **options)


def test_a_grid_smaller_than_the_draw_is_enumerated():
    assert len(trials_of({"optimizer": optimizers.sgd(values([0.1, 0.2]))}, 100)) == 2


@pytest.mark.parametrize("search", ["random", "quasi-random", "grid"])
def test_more_trials_come_after_the_same_ones(search):
    rates = log_uniform(1e-4, 1) if search != "grid" else values([0.1, 0.2, 0.3, 0.4])
    space = {"activation": choice([activations.relu, activations.tanh]), "optimizer": optimizers.adam(rates)}
    few, many = points(space, 5, search, 7), points(space, 8, search, 7)
    assert many[:5] == few
    assert len({str(sorted(picks.items(), key=str)) for picks in many}) == 8


def test_more_draws_than_a_grid_has_points_come_after_the_same_ones():
    space = {"width": choice([8, 16]), "optimizer": optimizers.sgd(values([0.1, 0.2, 0.3]))}
    few, all_of_them = points(space, 3, "random", 1), points(space, 100, "random", 1)
    assert all_of_them[:3] == few
    assert len(all_of_them) == 6


def test_structures_are_the_combinations_of_alternatives():
    inner = choice([optimizers.sgd(values([0.1, 0.2])), optimizers.adam(0.1, b1=uniform(0.8, 0.9))])
    space = {
        "model": choice([{"width": 8, "optimizer": inner}, {"optimizer": optimizers.sgd(0.5)}]),
        "act": choice(["a", "b"]),
    }
    found = structures(space)
    assert len(found) == 6
    assert {picks[("act",)] for picks in found} == {0, 1}
    assert structures(space, most=5) is None


@pytest.mark.parametrize("rates", [values([-0.1, 0.1]), uniform(-1, 1), integers(-1, 3)], ids=repr)
def test_a_range_with_numbers_that_an_optimizer_cannot_have_is_refused(rates):
    with pytest.raises(ValueError, match="learning_rate=-"):
        optimizers.sgd(rates)


def test_the_upper_end_of_a_range_is_not_drawn():
    assert optimizers.sgd(0.1, momentum=uniform(0, 1)).settings["momentum"] == uniform(0, 1)


@pytest.mark.parametrize("leaf", [uniform(0.5, 1), log_uniform(0.5, 1)], ids=repr)
def test_a_number_that_is_moved_stays_below_the_upper_end(leaf):
    assert 0.99 < leaf.moved(0.9, 1.2) < 1.0
    assert leaf.moved(0.5, 0.8) == 0.5


@pytest.mark.parametrize("make", [uniform, log_uniform])
def test_bounds_must_be_numbers(make):
    with pytest.raises(TypeError, match="needs two numbers, got 'a'"):
        make("a", 1)
