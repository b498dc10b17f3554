"""A sweep as a study of Optuna, read back from its storage."""

import math
import sys

import pytest

from jaxopt_lite import sweeps
from tests.report import searched as example

optuna = pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def results():
    return example.swept("max", confirm=(1, 2))


@pytest.fixture(scope="module")
def study(results, tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('optuna')}/study.db"
    results.to_optuna(url, "rates")
    return optuna.load_study(storage=url, study_name="rates")


def test_every_setting_is_a_trial(results, study):
    settings = {s.columns["rate"]: s for s in results.settings()}
    assert len(study.trials) == len(settings) == 27
    assert study.direction.name == "MAXIMIZE" and study.metric_names == ["validation_score"]
    for trial in study.trials:
        setting = settings[trial.params["rate"]]
        assert trial.params == {k: v for k, v in setting.columns.items() if v is not None}
        state = "FAIL" if setting.columns["rate"] > 1 else "COMPLETE" if setting.done == 3 else "PRUNED"
        assert trial.state.name == state
        assert trial.value == (setting.scores["validation_score"].mean if state == "COMPLETE" else None)
        if state == "COMPLETE":
            assert trial.user_attrs["test_score"] == setting.scores["test_score"].mean
            assert trial.user_attrs["validation_score, confirmed"] == setting.confirmed["validation_score"].mean
            assert trial.user_attrs["validation_score ± (95 %)"] > 0
    assert study.best_params == {k: v for k, v in results.best()[0].columns.items() if v is not None}


def test_scores_at_rungs_are_intermediate_values(results, study):
    by_trial = {}
    for row, trial in enumerate(results.trials):
        for step, score in {} if results.confirming[row] else results.rungs[row].items():
            by_trial.setdefault(trial, {}).setdefault(step, []).append(score)
    for number, trial in enumerate(study.trials):
        expected = {step: math.fsum(scores) / len(scores) for step, scores in by_trial.get(number, {}).items()}
        assert trial.intermediate_values == pytest.approx(expected)
    assert {len(trial.intermediate_values) for trial in study.trials} == {0, 1, 2, 3}


def test_distributions_are_those_of_the_space(study):
    found = {name: trial.distributions[name] for trial in study.trials for name in trial.distributions}
    assert found == {
        "rate": optuna.distributions.FloatDistribution(1e-5, 10, log=True),
        "kind": optuna.distributions.CategoricalDistribution(list(found["kind"].choices)),
        "momentum": optuna.distributions.FloatDistribution(0, 1),
    }
    assert set(found["kind"].choices) == {"plain", "heavy"}


def test_a_study_is_not_written_twice(results, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    results.to_optuna(storage)
    with pytest.raises(
        ValueError, match="the storage has a study 'rates' already, and its trials would be there twice"
    ):
        results.to_optuna(storage)
    assert len(results.to_optuna(storage, "other").trials) == 27
    assert len(optuna.load_study(storage=storage, study_name="rates").trials) == 27


def test_settings_to_do_are_left_out_and_the_name_is_that_of_the_store(tmp_path):
    columns = {"rate": [0.1, 0.2, 0.3], "width": [8, 16, 8], "seed": [0] * 3, "status": ["done", "running", "done"]}
    columns["loss"] = [1.0, math.nan, 0.5]
    facts = {"seeds": [0], "task": "mine", "steps": 9}
    for store, name in ((tmp_path / "runs" / "first", "first"), (None, "mine")):
        table = sweeps.Results(columns, ("rate", "width"), "loss", "min", facts, [{}] * 3, store)
        study = table.to_optuna()
        assert study.study_name == name and study.user_attrs["settings not ended"] == 1
        assert [trial.params["rate"] for trial in study.trials] == [0.1, 0.3]
        assert study.best_params == {"rate": 0.3, "width": 8}
        assert study.trials[0].distributions["width"] == optuna.distributions.IntDistribution(8, 16)


def test_a_setting_with_a_failed_seed_is_a_failed_trial():
    columns = {
        "rate": [0.1, 0.2, 0.3],
        "seed": [0] * 3,
        "status": ["done", "failed", "diverged"],
        "loss": [0.5, 0.4, 0.3],
    }
    results = sweeps.Results(columns, ("rate",), "loss", "min", {"seeds": [0]}, [{}] * 3, None, errors={1: "OSError"})
    study = results.to_optuna(study_name="failed")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "FAIL"]
    assert study.user_attrs["settings not ended"] == 0


def test_without_optuna_the_extra_is_named(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"to_optuna needs Optuna: pip install 'jaxopt-lite\[optuna\]'"):
        results.to_optuna()
