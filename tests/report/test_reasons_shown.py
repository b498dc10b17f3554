"""Where a report says why settings lost: a word in the table, a sentence and code on the page."""

from pathlib import Path

import pytest

from jaxopt_lite import report, sweeps
from tests.sweeps.test_reasons import BEST, DEAD, FINE, state, table

RUNS = [
    BEST,
    {"rate": 1e-4, "score": 0.2},
    {"activation": "tanh", "rate": 0.1, "score": 0.5, "records": {step: state(**DEAD) for step in FINE}},
    {"activation": "<b>", "rate": 0.1, "score": 0.949},
]


@pytest.fixture
def results() -> sweeps.Results:
    return table(RUNS, task="digits")


def test_the_table_has_a_word_for_each_combination_that_lost(results: sweeps.Results) -> None:
    text = str(report.table(results))
    (line,) = (line for line in text.splitlines() if "tanh" in line)
    assert line.rstrip().endswith("dead")
    assert "why: the reasons in full, and what to change, are on the page" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_the_page_has_a_sentence_and_code(results: sweeps.Results, tmp_path: Path) -> None:
    text = report.page(results, tmp_path / "page.html").read_text()
    section = text.partition("Why the others lost")[2].partition("</table>")[0]
    assert "82% of the units of layers.1 are constant with derivative 0" in section
    assert "from the start" in section
    assert "<pre>activation = act.leaky_relu" in section
    assert section.count("<tr") == 3  # the head, relu's rate, and tanh: the others are the best or tied
    everyone = text.partition('id="all"')[2]
    assert 'data-v="rate"' in everyone and 'data-v="dead"' in everyone


def test_a_sweep_without_records_has_neither(results: sweeps.Results, tmp_path: Path) -> None:
    bare = sweeps.Results(
        **{**{name: getattr(results, name) for name in results.__dataclass_fields__}, "records": None}
    )
    assert " why" not in str(report.table(bare))
    assert "Why the others lost" not in report.page(bare, tmp_path / "page.html").read_text()
