"""The importance of settings: what is known to matter, what is not, and honesty about little data."""

import sys
from typing import Any

import numpy as np
import pytest

from jaxopt_lite import report
from jaxopt_lite.report._importance import _places, compared
from jaxopt_lite.report._study import study_of
from tests.report import searched as example

pytest.importorskip("sklearn")


def table(score: Any, settings: int = 80) -> Any:
    """Results over three uniform numbers and a name, with a known score."""
    from jaxopt_lite import sweeps

    rng = np.random.default_rng(1)
    columns: dict[str, list[Any]] = {name: rng.uniform(size=settings).tolist() for name in ("a", "b", "c")}
    columns["name"] = rng.choice(["x", "y", "z"], settings).tolist()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    columns |= {"seed": [0] * settings, "status": ["done"] * settings, "loss": [float(score(row)) for row in rows]}
    facts = {"seeds": [0], "steps": 9}
    return sweeps.Results(columns, ("a", "b", "c", "name"), "loss", "min", facts, [{}] * settings, None)


def test_what_matters_comes_first_and_noise_does_not_matter() -> None:
    found = report.importance(table(lambda row: 4 * abs(row["a"] - 0.3) + (row["name"] == "y")))
    assert list(found.drops)[:2] == ["a", "name"]
    assert found.drops["a"] > 0.8 and found.drops["name"] > 0.05
    assert max(found.drops["b"], found.drops["c"]) < 0.05
    assert found.explained > 0.7
    assert (found.step, found.settings, found.diverged) == (9, 80, 0)


def test_an_interaction_counts_for_both() -> None:
    found = report.importance(table(lambda row: (row["a"] > 0.5) ^ (row["b"] > 0.5), settings=300))
    assert min(found.drops["a"], found.drops["b"]) > 0.5 > 0.1 > max(found.drops["c"], found.drops["name"])


def test_noise_explains_nothing() -> None:
    rng = np.random.default_rng(0)
    assert report.importance(table(lambda row: rng.normal())).explained < 0.1


def test_a_huge_score_does_not_dominate() -> None:
    found = report.importance(table(lambda row: 1e30 if row["b"] > 0.98 else row["a"]))
    assert found.drops["a"] > 5 * found.drops["b"]


def test_it_is_computed_where_most_settings_were_compared_and_counts_diverged_as_worst() -> None:
    results = example.swept()
    study = study_of(results)
    step, scored, diverged = compared(study)
    lost = sum(setting.columns["rate"] > 1 for setting in study.settings)
    assert (step, len(scored), len(diverged)) == (3, 27 - lost, lost)
    places = _places(study, step, scored, lost)
    assert places[: 27 - lost].tolist() == pytest.approx(np.argsort(np.argsort(costs(scored))) / 26)
    assert places[27 - lost :].tolist() == [(27 - lost + 26) / 2 / 26] * lost  # they share the last places
    found = report.importance(results)
    assert next(iter(found.drops)) == "rate"
    assert (found.step, found.settings, found.diverged) == (3, 27, lost)


def costs(settings: Any) -> list[float]:
    return [setting.rungs[3].mean for setting in settings]


def test_few_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20 settings that were scored at one step and differ, got 19"):
        report.importance(table(lambda row: row["a"], settings=19))


def test_the_page_says_what_to_install(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    results = table(lambda row: row["a"])
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jaxopt-lite\[data\]'"):
        report.importance(results)
    text = report.page(results, tmp_path / "page.html").read_text()
    assert "The importance of settings needs scikit-learn: pip install &#39;jaxopt-lite[data]&#39;" in text


def test_the_page_warns_where_little_is_explained(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    text = report.page(table(lambda row: rng.normal()), tmp_path / "page.html").read_text()
    assert "too little for the order to mean much" in text
