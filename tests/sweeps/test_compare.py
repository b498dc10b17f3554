"""Settings compared by seed."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxopt_lite.sweeps import Difference, Mean, Results


def table(scores, mode="max", status=None):
    """Results with one setting per row of `scores`, one seed per column."""
    scores = np.asarray(scores, float)
    settings, seeds = scores.shape
    columns = {
        "rate": [float(i) for i in range(settings) for _ in range(seeds)],
        "seed": [seed for _ in range(settings) for seed in range(10, 10 + seeds)],
        "status": status or ["done"] * scores.size,
        "test_accuracy": scores.ravel().tolist(),
    }
    facts = {"task": "t", "seeds": list(range(10, 10 + seeds))}
    return Results(columns, ("rate",), "test_accuracy", mode, facts, [{}] * scores.size, None)


def by_rate(results):
    return {setting.columns["rate"]: setting for setting in results.settings()}


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_the_interval_is_the_paired_t_interval(seeds):
    rng = np.random.default_rng(0)
    common = rng.normal(size=seeds)  # what a seed does to every setting
    a, b = 0.3 + common + 0.1 * rng.normal(size=seeds), common + 0.1 * rng.normal(size=seeds)
    results = table([a, b])
    found = results.compare(by_rate(results)[0.0], by_rate(results)[1.0])
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.mean == pytest.approx((a - b).mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.seeds == tuple(range(10, 10 + seeds))
    reverse = results.compare(by_rate(results)[1.0], by_rate(results)[0.0])
    assert (reverse.mean, reverse.half_width) == pytest.approx((-found.mean, found.half_width))


def test_agreeing_seeds_do_not_prove_a_difference_of_one_step():
    results = table(np.array([[351, 351, 351], [350, 350, 350], [345, 345, 345]]) / 360)
    best, next_best, third = results.settings()
    found = results.compare(best, next_best)
    q = 1 / 360
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 2) * q / math.sqrt(6) / math.sqrt(3))
    assert not found.distinct
    assert results.compare(best, third).distinct
    assert results.tied() == [next_best]
    constant = table([[1.0, 1.0], [1.0, 1.0]])
    found = constant.compare(*constant.settings())
    assert found.half_width > 0
    assert not found.distinct


def test_a_rival_with_scattered_scores_is_tied():
    results = table([[0.975, 0.975, 0.975], [0.97, 0.9749, 0.9799]])
    assert len(results.tied()) == 1


def test_a_small_difference_in_every_seed_is_distinct_even_if_seeds_vary_much():
    common = np.array([0.90, 0.95, 0.85, 0.93])
    results = table([common, common - 0.01 + np.array([0, 1e-4, -1e-4, 0])])
    assert results.compare(*results.settings()).distinct
    assert results.tied() == []


def test_one_seed_tells_nothing_apart():
    results = table([[0.9], [0.5]])
    found = results.compare(*results.settings())
    assert found.mean == pytest.approx(0.4)
    assert math.isnan(found.half_width)
    assert not found.distinct
    assert f"{found:.2f}" == "+0.40"
    assert len(results.tied()) == 1


def test_seeds_that_diverged_are_left_out_and_such_settings_are_never_tied():
    scores = [[0.9, 0.8, 0.7], [0.9, math.nan, 0.7]]
    results = table(scores, status=["done"] * 4 + ["diverged", "done"])
    best, other = results.settings()
    assert results.compare(best, other).seeds == (10, 12)
    assert results.tied() == []


def test_rounding_is_no_step():
    results = table([[0.5, 0.5 + 1e-8, 0.75], [0.25, 0.25, 0.5]])
    found = results.compare(*results.settings())
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 2) * 0.25 / math.sqrt(18), rel=1e-3)


def test_errors_of_compare():
    results = table([[0.9, 0.8], [0.7, 0.6]], status=["done", "diverged", "diverged", "done"])
    a, b = by_rate(results).values()
    with pytest.raises(ValueError, match="no seed with which both are done"):
        results.compare(a, b)
    with pytest.raises(ValueError, match="did you mean 'test_accuracy'"):
        results.compare(a, b, "test_acuracy")
    with pytest.raises(ValueError, match="not a setting of this table"):
        results.compare(a, b._replace(columns={"rate": 7.0}))
    assert table([[math.nan]], status=["waiting"]).tied() == []


def test_rounding_of_a_small_difference_from_one_is_no_step():
    errors = [[7 / 360] * 3, [8 * (1 / 360)] * 3, [np.float32(1) - np.float32(352 / 360)] * 3, [0.9] * 3]
    results = table(np.asarray(errors, float), mode="min")
    best, other = results.settings()[0], results.settings()[2]
    assert results.compare(best, other).half_width > 1e-3 and not results.compare(best, other).distinct


def test_narrow_intervals_and_small_scores_show_digits():
    assert f"{Difference('loss', 0.0, 2e-5, (0, 1))}" == "+0.0000 ± 2e-05"
    assert f"{Difference('loss', 0.5, 0.0123, (0, 1))}" == "+0.5000 ± 0.0123"
    assert f"{Mean(3.14e-6, 1.2e-7)}" == "3.14e-06 ± 1.2e-07" and f"{Mean(0.97, float('nan'))}" == "0.9700"


def test_one_large_score_does_not_hide_the_others():
    scores = [[0.10, 0.11, 0.12], [0.90, 0.91, 0.92], [1e8, 1.1e8, 1.2e8]]
    results = table(scores, mode="min")
    found = results.compare(*results.settings()[:2])
    assert found.distinct and found.half_width < 0.05
    assert results.tied() == []
