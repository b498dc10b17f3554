"""Reports of sweeps in which settings were stopped early and the best was confirmed."""

import io
import re

import pytest
from rich.console import Console

from jaxopt_lite import report, sweeps
from tests.sweeps import small

RATES = (0.001, 0.01, 0.1, 0.3, 1.0, 3.0)


@pytest.fixture(scope="module")
def results():
    rule = sweeps.halving(eta=2, first=1 / 3, race=True)
    return sweeps.run(
        small.task(), small.space(RATES), seeds=2, steps=30, stop=rule, confirm=(1, 3), progress=False, keep=0
    )


def test_the_page_says_what_was_stopped_and_confirmed(results, tmp_path):
    text = report.page(results, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "12 settings × 2 seeds = 24 runs of 30 steps, and 3 runs to confirm the best" in text
    assert ">2 pruned</td>" in text and "2 done" in text
    assert "With 3 further seeds, which took no part in the selection: test accuracy" in text
    assert re.search(r"halving\(eta=2, first=0.3333, race=True\): \d+% of the steps of all runs were made", text)
    assert "pruned at step 10" in text
    assert "Not final" not in text


def test_the_table_ranks_finished_settings_before_those_that_were_stopped(results):
    settings = results.settings()
    assert [s.done == s.seeds for s in settings] == sorted((s.done == s.seeds for s in settings), reverse=True)
    stopped = [s.step for s in settings if s.pruned]
    assert stopped == sorted(stopped, reverse=True)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report.table(results))
    pruned = results.columns["status"].count("pruned")
    assert f"27 runs, {pruned} pruned" in console.export_text()


def test_a_cell_of_the_heat_map_shows_that_its_settings_were_stopped(results):
    ((_, figure), *_) = report.heatmaps(results)
    texts = {text.get_text() for axis in figure.axes for text in axis.texts} | {t.get_text() for t in figure.texts}
    assert "–" in texts
    assert any("stopped early" in text for text in texts)
    assert not any("not finished" in text for text in texts)
