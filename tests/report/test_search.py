"""What the report shows of a search: rungs, compute, parallel coordinates, and the page's sections."""

import itertools
import re
from typing import Any

import numpy as np
import pytest

from jaxopt_lite import report, sweeps
from jaxopt_lite.report._page_tables import settings_table
from jaxopt_lite.report._search import compute_of, moments, rungs_of, searched
from jaxopt_lite.report._study import is_drawn, study_of
from jaxopt_lite.report._verdict import verdict
from tests.report import searched as example
from tests.report.conftest import RATES, grid
from tests.report.test_page import parsed

OTHERS = {f"score_{i}": 0.123456 for i in range(5)}


@pytest.fixture(scope="module", params=["min", "max"])
def results(request: Any) -> Any:
    return example.swept(request.param, confirm=(1, 2))


@pytest.fixture(scope="module")
def complete() -> Any:
    """Every setting to the end with one seed."""
    return example.swept(stop=None, seeds=1)


def diverged(results: Any) -> int:
    return len({t for t, rate in zip(results.trials, results.columns["rate"], strict=True) if rate > 1})


def test_rungs_are_those_of_successive_halving(results: Any) -> None:
    found = rungs_of(study_of(results))
    assert [rung.step for rung in found] == [3, 9, 27]
    assert [len(rung.settings) for rung in found] == [27 - diverged(results), 9, 3]
    assert [rung.stopped for rung in found] == [18 - diverged(results), 6, 2]
    assert [rung.seeds for rung in found] == [(1, 1), (1, 1), (1, 3)]
    for rung in found:  # the scores are known: the nearest to a rate of 0.01 is the best
        far = [abs(np.log10(setting.columns["rate"]) + 2) for setting in rung.settings]
        assert far == sorted(far)
        known = float(example.loss(rung.settings[0].columns["rate"], 0.0, rung.step))
        assert rung.best.mean == pytest.approx(known if results.mode == "min" else -known, abs=0.01)
    assert [rung.place for rung in found] == [1, 1, 1]


def test_compute_is_the_share_of_the_steps_of_all_runs(results: Any) -> None:
    study = study_of(results)
    selecting = [i for i, confirms in enumerate(results.confirming) if not confirms]
    made, full = sum(results.columns["step"][i] for i in selecting), 27 * 3 * example.STEPS
    assert compute_of(study) == pytest.approx(made / full)
    found = moments(study)
    alive, lost = 27 - diverged(results), made - (27 - diverged(results)) * 3 - 9 * 6 - 3 * 18 - 2 * 27
    expected = np.cumsum([alive * 3 + lost, 9 * 6, 3 * 18, 2 * 27]) / full
    assert [moment.compute for moment in found] == pytest.approx(expected.tolist())
    assert [(moment.step, moment.seeds, moment.settings) for moment in found] == [
        (3, 1, alive),
        (9, 1, 9),
        (27, 1, 3),
        (27, 3, 1),
    ]
    assert found[-1].score == results.best()[0].scores["validation_score"].mean


def test_with_brackets_the_other_seeds_come_last() -> None:
    study = study_of(example.swept(stop=sweeps.hyperband(eta=3, first=1 / 9, race=True)))
    found = moments(study)
    assert [moment.seeds for moment in found] == [1] * (len(found) - 1) + [3]
    assert found[-1].compute == pytest.approx(compute_of(study))
    assert found[-1].score == study.settings[0].scores["validation_score"].mean


def test_without_a_rule_every_setting_is_a_moment(complete: Any) -> None:
    found, study = moments(study_of(complete)), study_of(complete)
    scores = [s.scores["validation_score"].mean for s in sorted(study.settings, key=lambda s: s.trials)]
    best = np.minimum.accumulate([s for s in scores if not np.isnan(s)])
    assert [moment.score for moment in found if not np.isnan(moment.score)][-1] == best[-1]
    assert sorted({moment.score for moment in found}) == sorted(set(best.tolist()))
    assert found[-1].compute == pytest.approx(compute_of(study))


def test_settings_that_were_stopped_are_in_the_order_of_their_last_score(results: Any) -> None:
    settings = results.settings()
    stopped = [s for s in settings if s.pruned and not s.diverged]
    keys = [(-s.step, abs(np.log10(s.columns["rate"]) + 2)) for s in stopped]
    assert keys == sorted(keys) and len(keys) > 20


def test_the_picture_of_the_rungs(results: Any) -> None:
    figure = report.rungs(results)
    axis, bar = figure.axes
    lines = [line for line in axis.get_lines() if line.get_linestyle() == "-"]
    assert sorted(len(line.get_xdata()) for line in lines) == [1] * (18 - diverged(results)) + [2] * 6 + [3] * 3
    ends = [line.get_marker() for line in axis.get_lines() if line.get_linestyle() == "None"]
    assert ends.count("o") == 1 and ends.count("_") == 26 - diverged(results)
    assert axis.get_xlabel() == "step (log)" and [t.get_text() for t in axis.get_xticklabels()] == ["3", "9", "27"]
    assert "validation score at the rung" in axis.get_ylabel()
    assert "place at the end" in bar.get_ylabel()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(f"{diverged(results)} setting" in text for text in legend)


def test_rungs_need_two_steps(complete: Any) -> None:
    with pytest.raises(ValueError, match="fewer than two steps"):
        report.rungs(complete)


def test_the_picture_of_compute(results: Any) -> None:
    (axis,) = report.best_so_far(results).axes
    (line,) = axis.get_lines()
    assert line.get_xdata() == pytest.approx([100 * moment.compute for moment in moments(study_of(results))])
    assert axis.get_xlabel() == "compute, % of the steps of all 81 runs of 27 steps"
    assert axis.texts[0].get_text() == f"step 3\n{27 - diverged(results)} settings, 1 seed"


def test_compute_needs_scores_by_step(swept: Any) -> None:
    results = swept(grid(learning_rate=RATES), fate=lambda row: "waiting")
    with pytest.raises(ValueError, match="nothing to show"):
        report.best_so_far(results)


def test_parallel_coordinates(complete: Any) -> None:
    figure = report.parallel(complete)
    axis, _ = figure.axes
    labels = [text.get_text() for text in axis.texts]
    assert ["kind" in labels, "rate\n(log)" in labels, "momentum" in labels, "validation score" in labels] == [True] * 4
    assert {"plain", "heavy", "–", "1e-5", "10"} <= set(labels)
    lines = [line for line in axis.get_lines() if len(line.get_xdata()) > 2]
    solid = [line for line in lines if line.get_linestyle() == "-"]
    finished = [s for s in complete.settings() if s.done]
    assert len(solid) == len(finished) and len(lines) == 27
    best = max(solid, key=lambda line: line.get_linewidth())
    order = list(study_of(complete).structure.varying)
    height = best.get_ydata()[order.index("rate")]
    assert height == pytest.approx((np.log10(finished[0].columns["rate"]) + 5) / 6)  # from 1e-5 to 10
    assert best.get_ydata()[-1] == pytest.approx(1.0)  # the good end of the score is above


def test_parallel_needs_a_finished_setting(swept: Any) -> None:
    with pytest.raises(ValueError, match="no setting has been scored"):
        report.parallel(swept(grid(learning_rate=RATES), fate=lambda row: "diverged"))


def test_parallel_marks_what_was_lost(swept: Any) -> None:
    fates = ["done"] * 6 + ["diverged"] * 3 + ["failed"] * 3
    figure = report.parallel(swept(grid(learning_rate=RATES[:4]), fate=lambda row: fates[row.id]))
    dotted = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert len(dotted) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["the best setting", "diverged or failed"]


def test_the_page_of_a_search(results: Any, tmp_path: Any) -> None:
    text = report.page(results, tmp_path / "page.html").read_text()
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    first = heads.index("Who was stopped where")
    assert heads[first : first + 5] == [
        "Who was stopped where",
        "The rungs",
        "Best score so far",
        "Settings and their score",
        "Importance of each setting",
    ]
    alive = 27 - diverged(results)
    assert f"had place 1 of {alive} at step 3, where {alive - 9} of them were stopped." in text
    share = f"{compute_of(study_of(results)):.0%} of the steps of all runs were made"
    assert text.count(share) == 3  # at the picture, in its description, and among the facts
    assert "This score selects, so its best is optimistic; test score" in text
    parsed(text)


def test_a_population(tmp_path: Any) -> None:
    results = example.swept(trials=None, seeds=1, stop=None, search=sweeps.population(8, every=9, quantile=0.5))
    assert [rung.step for rung in rungs_of(study_of(results))] == [9, 18, 27]
    found = moments(study_of(results))
    begun = sum(9 in scores for scores in results.rungs)  # the others diverged, and continued from a copy
    assert [moment.compute for moment in found] == pytest.approx([begun / 24, 2 / 3, 1])
    assert [moment.settings for moment in found] == [begun, 8, 8]
    axis = report.rungs(results).axes[0]
    lines = [line.get_xydata() for line in axis.get_lines() if line.get_linestyle() == "-"]
    jumps = sorted((a[0], b[1]) for line in lines for a, b in itertools.pairwise(line) if a[0] == b[0])
    copies = sorted(
        (one.step, results.rungs[one.source][one.step])
        for row, passed in enumerate(results.generations)
        for one in passed
        if one.source != row and one.step in results.rungs[row]
    )
    assert len(copies) > 2 and jumps == copies
    assert "at the generation" in axis.get_ylabel()
    text = report.page(results, tmp_path / "page.html").read_text()
    assert "Scores of the generations" in text and "stopped" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "Settings changed during training, and those at the end are shown" in text
    assert is_drawn(study_of(results), "rate")  # few numbers, and no list
    assert "<dd>population(size=8, every=9" in text


def test_a_grid_trained_to_its_end_has_no_section_about_the_search(mixed: Any) -> None:
    assert not searched(study_of(mixed))


def test_without_matplotlib_the_tables_of_the_search_remain(
    results: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = report.page(results, tmp_path / "page.html").read_text()
    assert "The rungs" in text and "Who was stopped where" not in text and "<svg" not in text


def test_other_scores_and_settings_fold_away(results: Any, swept: Any, tmp_path: Any) -> None:
    study = study_of(results)
    table = settings_table(study, verdict(study))
    assert table is not None and table.folds == {"scores": "3 other scores"}
    assert [head.text for head in table.heads if head.fold == "scores"] == ["size", "speed", "test score"]
    numbers = {f"number_{i}": [0.1, 0.2] for i in range(6)}
    cells = [dict(zip(numbers, values, strict=True)) for values in np.random.default_rng(0).uniform(size=(30, 6))]
    text = report.page(swept([{"constant": 1.0, **cell} for cell in cells]), tmp_path / "page.html").read_text()
    assert '<input type="checkbox" class="fold settings" id="all-settings">' in text and "3 other settings" in text
    shown = text[text.index('id="all"') :]
    assert shown.count('<th scope="col" class="n settings"') == 3
    assert shown.count('<td class="n settings"') == 3 * 30
    assert "constant" not in re.findall(r"<th[^>]*>(?:<button[^>]*>)?([^<]*)", shown)
    parsed(text)


def test_a_table_with_many_columns_fits(swept: Any) -> None:
    from tests.report.test_table import printed

    numbers = np.random.default_rng(0).uniform(size=(30, 9))
    cells = [
        {"activation": "leaky_relu" if i % 2 else "tanh", **{f"long_name_{k}": x for k, x in enumerate(row)}}
        for i, row in enumerate(numbers)
    ]
    results = swept(cells, fate=lambda row: "done" if row.trial % 2 == 0 else "pruned", others=lambda row: OTHERS)
    text = printed(results, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "pruned at step 10" in text and "0.950 ± 0.025" in text and "long" in text


@pytest.mark.parametrize("width", [60, 80])
def test_the_table_of_a_search_fits(results: Any, width: int) -> None:
    from tests.report.test_table import printed

    lines = printed(results, width).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "pruned" in text
