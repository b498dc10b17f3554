"""Reports of sweeps in which settings were stopped early and the best was confirmed."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from jaxopt_lite import report, sweeps
from jaxopt_lite.report._study import study_of
from jaxopt_lite.report._verdict import verdict
from tests.report import searched as example
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
    assert "<small>with 3 further seeds, which took no part in the selection: test accuracy" in text
    stopped = sum(bool(setting.pruned) for setting in results.settings())
    assert f"<li>{stopped} of 12 settings were stopped early by their score until then: one that learns late" in text
    assert "Selected as the best of 12 settings by the score shown here" in text
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
    text = console.export_text()
    assert f"27 runs, {pruned} pruned" in text
    assert "1 with 3 further seeds, which took no part in the selection: test accuracy" in text
    raced = next(setting for setting in settings if setting.done == 1)
    assert raced.status == "pruned after 1 of 2 seeds"


def test_a_cell_of_the_heat_map_shows_that_its_settings_were_stopped(results):
    ((_, figure), *_) = report.heatmaps(results)
    texts = {text.get_text() for axis in figure.axes for text in axis.texts} | {t.get_text() for t in figure.texts}
    assert "–" in texts
    assert any("stopped early" in text for text in texts)
    assert not any("not finished" in text for text in texts)


def test_it_is_said_if_another_setting_does_better_with_the_further_seeds():
    columns = {"rate": [0.1] * 4 + [0.2] * 4, "seed": [0, 1, 5, 6] * 2, "status": ["done"] * 8}
    columns["loss"] = [0.10, 0.12, 0.50, 0.52, 0.20, 0.22, 0.30, 0.32]
    confirming = [False, False, True, True] * 2

    def cautions(mode):
        facts = {"seeds": [0, 1], "steps": 9}
        table = sweeps.Results(columns, ("rate",), "loss", mode, facts, [{}] * 8, None, [0] * 4 + [1] * 4, confirming)
        return " ".join(verdict(study_of(table)).cautions)

    assert "With the further seeds rate 0.2 does better, 0.31 ± 0.13 against 0.51 ± 0.13" in cautions("min")
    assert "With the further seeds rate 0.1 does better, 0.51 ± 0.13 against 0.31 ± 0.13" in cautions("max")


def test_stopped_settings_are_hollow_and_their_curves_end(results):
    searched = example.swept()
    strip = dict(report.heatmaps(searched))["Validation score by rate"]
    hollow = [line for axis in strip.axes for line in axis.get_lines() if line.get_markerfacecolor() == "none"]
    settings = searched.settings()
    stopped = {s.columns["rate"]: s.rungs[max(s.rungs)].mean for s in settings if s.pruned and not s.diverged}
    drawn = {x: y for line in hollow for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    assert drawn == pytest.approx(stopped) and len(drawn) > 15
    ends = [line.get_xdata()[-1] for axis in report.curves(results).axes for line in axis.get_lines()]
    assert len(ends) == 2 and max(ends) > 28


@pytest.mark.parametrize("settings, as_image", [(2000, False), (2001, True)])
def test_many_points_are_drawn_as_an_image(settings, as_image):
    """As elements of the page, the points of 100,000 settings would take 37 MB."""
    columns = {"rate": list(np.linspace(0.1, 0.9, settings)), "seed": [0] * settings, "status": ["done"] * settings}
    columns["loss"] = list(np.linspace(1.0, 2.0, settings))
    found = sweeps.Results(columns, ("rate",), "loss", "min", {"seeds": [0], "steps": 9}, [{}] * settings, None)
    axis = dict(report.heatmaps(found))["Loss by rate"].axes[0]
    assert {bool(line.get_rasterized()) for line in axis.get_lines() if len(line.get_xdata())} == {as_image}
