"""Results: seeds put together, ranking, and the ways out."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxopt_lite import sweeps
from jaxopt_lite.sweeps.spaces._ranges import drawn_ranges, range_of
from tests.sweeps import small
from tests.sweeps.test_ledger import FACTS, Ledger, Row, outcome


@pytest.fixture
def results(tmp_path):
    facts = FACTS | {"seeds": [0, 1, 2]}
    rows = [Row(i, {"rate": float(i // 3)}, i % 3, "waiting", 0, i // 3) for i in range(12)]
    ledger = Ledger.create(tmp_path / "s", facts, rows)
    losses = [0.3, 0.4, 0.5, 0.1, 0.2, 0.6, 0.0, None, 0.0]
    ledger.record([outcome(i, "done" if x is not None else "diverged", x) for i, x in enumerate(losses)])
    ledger.close()
    return sweeps.Results.load(tmp_path / "s")


def test_the_interval_is_students(results):
    by_rate = {s.columns["rate"]: s for s in results.settings()}
    for rate, losses in {0.0: [0.3, 0.4, 0.5], 1.0: [0.1, 0.2, 0.6]}.items():
        found = by_rate[rate].scores["test_loss"]
        low, high = stats.t.interval(0.95, 2, loc=np.mean(losses), scale=stats.sem(losses))
        assert found.mean == pytest.approx(np.mean(losses))
        assert found.mean - found.half_width == pytest.approx(low)
        assert found.mean + found.half_width == pytest.approx(high)


def test_the_best_comes_first_and_what_diverged_or_waits_last(results):
    settings = results.settings()
    assert [s.columns["rate"] for s in settings] == [1.0, 0.0, 2.0, 3.0]
    assert [(s.done, s.diverged) for s in settings] == [(3, 0), (3, 0), (2, 1), (0, 0)]
    assert math.isnan(settings[2].scores["test_loss"].mean)
    assert [s.columns["rate"] for s in results.best()] == [1.0]
    assert [s.columns["rate"] for s in results.best("rate")] == [1.0, 0.0]


def test_printed_results_say_how_settings_without_a_score_ended():
    fates = {0.1: ["done"] * 2, 0.2: ["pruned"] * 2, 0.3: ["done", "diverged"], 0.4: ["failed"] * 2}
    fates |= {0.5: ["done", "waiting"]}
    status = [one for both in fates.values() for one in both]
    losses = [0.5 if one == "done" else math.nan for one in status]
    columns = {"rate": [rate for rate in fates for _ in range(2)], "seed": [0, 1] * 5, "status": status}
    columns |= {"step": [75 if one == "pruned" else 9 for one in status], "loss": losses}
    lines = repr(sweeps.Results(columns, ("rate",), "loss", "min", {"seeds": [0, 1]}, [{}] * 10, None)).splitlines()
    ended = {line.split("rate ")[1]: line.split("rate ")[0].strip() for line in lines[1:]}
    assert ended == {
        "0.1": "0.5000 ± 0.0000",
        "0.2": "pruned at step 75",
        "0.3": "1 of 2 diverged",
        "0.4": "2 of 2 failed",
        "0.5": "1 of 2 done",
    }
    assert len({line.index("rate") for line in lines[1:]}) == 1 and "nan" not in "".join(lines)


def test_a_single_seed_has_no_interval():
    found = sweeps.run(small.task(), small.space((0.1,)), steps=5)
    score = found.settings()[0].scores["test_loss"]
    assert math.isfinite(score.mean)
    assert math.isnan(score.half_width)
    assert f"{score:.2f}" == f"{score.mean:.2f}"


def test_csv_parquet_and_pandas_give_the_table_back(results, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = results.to_pandas()
    assert list(frame.columns) == ["rate", "seed", "status", "step", "test_loss"]
    assert len(frame) == 12
    pandas.testing.assert_frame_equal(pandas.read_csv(results.to_csv(tmp_path / "t.csv")), frame)
    pandas.testing.assert_frame_equal(pandas.read_parquet(results.to_parquet(tmp_path / "t.parquet")), frame)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps must be a whole number from 1 to 2³¹ − 1, got 0"),
        ({"steps": 2.5}, "steps must be"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seeds": [1, 1]}, "different"),
        ({"seeds": [-1]}, "seeds must be"),
        ({"trials": 0}, "trials must be"),
        ({"store": "nowhere", "resume": True}, "no sweep to continue"),
    ],
)
def test_wrong_settings_are_named_before_anything_runs(options, message):
    with pytest.raises(ValueError, match=message):
        sweeps.run(small.task(), small.space(), **({"steps": 5} | options))


def test_ranges_are_those_of_the_space_or_of_the_listed_numbers():
    space = {"rate": sweeps.log_uniform(1e-5, 10), "kind": sweeps.choice({"a": {"depth": sweeps.integers(2, 9)}})}
    assert drawn_ranges(space) == {"rate": (1e-5, 10, True, False), "depth": (2, 9, False, True)}
    both = sweeps.choice({"a": {"rate": sweeps.uniform(0.1, 1)}, "b": {"rate": sweeps.log_uniform(1e-3, 0.5)}})
    assert drawn_ranges({"kind": both}) == {"rate": (1e-3, 1, False, False)}
    assert range_of([0.01, 0.1, 1.0]) == (0.01, 1.0, True, False)
    assert range_of([0.0, 0.5, 1.0]) == (0.0, 1.0, False, False)
    assert range_of([20.0], drawn_ranges(space)["rate"]) == (1e-5, 20.0, True, False)  # a fixed one lies outside
    found = sweeps.run(small.task(), small.space((0.1, 0.2)), steps=5, progress=False)
    assert found.ranges == {"learning_rate": (0.1, 0.2, False, False)}


def test_scores_at_rungs_are_means_over_seeds_until_one_diverges():
    columns = {"rate": [0.1] * 2 + [0.2] * 2, "seed": [0, 1] * 2, "status": ["done", "diverged", "pruned", "pruned"]}
    columns |= {"step": [9, 4, 3, 0], "loss": [0.5, math.nan, math.nan, math.nan]}
    rungs = [{3: 0.7, 9: 0.5}, {3: 0.9}, {3: 0.6}, {}]
    facts = {"seeds": [0, 1], "steps": 9}
    table = sweeps.Results(columns, ("rate",), "loss", "min", facts, [{}] * 4, None, rungs=rungs)
    first, second = sorted(table.settings(), key=lambda setting: setting.trials)
    assert {step: mean.mean for step, mean in first.rungs.items()} == pytest.approx(
        {3: 0.8}
    )  # one seed has no score at 9
    assert {step: mean.mean for step, mean in second.rungs.items()} == {3: 0.6}  # a race: the other seed never began
