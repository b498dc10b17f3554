"""What the best score is worth: a validation score selects, and the test score beside it took no part in that."""

from pathlib import Path
from typing import Any

import pytest

from jaxopt_lite import report
from jaxopt_lite.report._study import study_of
from jaxopt_lite.report._verdict import verdict
from jaxopt_lite.sweeps.store._ledger import Row
from tests.report.conftest import RATES, grid, hump

CELLS = grid(activation=["relu", "tanh"], learning_rate=RATES)
UNSEEN = "of the selected setting; it was selected without the test part"


def on_test_part(row: Row) -> dict[str, float]:
    """A test accuracy that is lower, and highest at another rate than the validation accuracy."""
    return {"test_accuracy": hump(row) - 0.02 + 0.5 * (row.columns["learning_rate"] == 1.0)}


@pytest.fixture
def three_parts(swept: Any) -> Any:
    return swept(CELLS, objective="validation_accuracy", others=on_test_part)


def test_the_test_score_of_the_selected_setting_stands_beside_the_validation_score(
    three_parts: Any, tmp_path: Path
) -> None:
    text = report.page(three_parts, tmp_path / "page.html").read_text()
    assert "validation accuracy 0.950 ± 0.025 <small>mean and 95 % interval over 3 seeds" in text
    assert f"test accuracy 0.930 ± 0.025 <small>{UNSEEN}</small>" in text
    assert "measure it again" not in text
    assert (
        "Selected as the best of 10 settings by validation accuracy, which makes its validation accuracy optimistic; "
        "its test score is not affected." in text
    )
    assert verdict(study_of(three_parts)).answer.endswith(f"seeds). Test accuracy 0.930 ± 0.025 {UNSEEN}.")


def test_the_table_has_the_test_score_of_the_selected_setting(three_parts: Any) -> None:
    text = " ".join(str(report.table(three_parts)).split())
    assert f"test accuracy 0.930 ± 0.025 {UNSEEN}" in text


def test_of_two_parts_the_warning_stays(swept: Any, tmp_path: Path) -> None:
    results = swept(CELLS)
    text = report.page(results, tmp_path / "page.html").read_text()
    assert "Selected as the best of 10 settings by the score shown here, which makes it optimistic" in text
    assert "took no part" not in text and "took no part" not in str(report.table(results))


@pytest.mark.parametrize(
    "facts",
    [
        {"objective": "validation_accuracy"},  # no test score of that name
        {"objective": "validation_accuracy", "others": lambda row: {"test_accuracy": float("nan")}},
        {"objective": "train_accuracy", "others": on_test_part},  # no validation part
        {"objective": "validation_accuracy", "others": on_test_part, "fate": lambda row: "diverged"},
    ],
)
def test_without_a_test_score_nothing_is_said_about_one(swept: Any, tmp_path: Path, facts: dict[str, Any]) -> None:
    results = swept(CELLS, **facts)
    text = report.page(results, tmp_path / "page.html").read_text()
    assert "took no part" not in text and "took no part" not in str(report.table(results))
    assert ("measure it again on data that the sweep did not use" in text) == ("fate" not in facts)


def test_few_settings_have_a_test_score_and_no_warning(swept: Any, tmp_path: Path) -> None:
    results = swept(CELLS[:3], objective="validation_accuracy", others=on_test_part)
    text = report.page(results, tmp_path / "page.html").read_text()
    assert UNSEEN in text and "Selected as" not in text


def test_a_combination_is_tied_if_its_best_setting_is(swept: Any) -> None:
    """The headline counts as the table does: a setting that varies more is not a reason to count its combination."""
    scores = {("tanh", 0.1): (0.90, 0.92, 0.94), ("relu", 0.1): (0.88, 0.90, 0.92), ("relu", 1.0): (0.80, 0.97, 0.90)}
    scores |= {("tanh", 1.0): (0.5, 0.5, 0.5), ("sine", 0.1): (0.89, 0.93, 0.935), ("sine", 1.0): (0.5, 0.5, 0.5)}
    cells = [{"activation": name, "learning_rate": rate} for name, rate in scores]
    results = swept(cells, score=lambda row: scores[row.columns["activation"], row.columns["learning_rate"]][row.seed])
    tied = {(setting.columns["activation"], setting.columns["learning_rate"]) for setting in results.tied()}
    assert {("relu", 1.0), ("sine", 0.1)} <= tied and ("relu", 0.1) not in tied
    found = " ".join(verdict(study_of(results)).cautions)
    assert "3 seeds do not distinguish it from 1 other combination" in found
    assert "sine" in found
