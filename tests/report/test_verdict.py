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
UNSEEN = "of the selected setting; the test part took no part in the selection"


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
