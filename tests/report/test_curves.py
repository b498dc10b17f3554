"""Learning curves: which settings, the numbers of line and band, axes with names and units."""

from typing import Any

import numpy as np
import pytest

from jaxopt_lite import report
from jaxopt_lite.report._pictures._curves import POINTS, band, stretch
from jaxopt_lite.report._study import study_of


def test_panels_lines_and_labels(mixed: Any) -> None:
    figure = report.curves(mixed)
    assert [axis.get_title("left") for axis in figure.axes] == ["sgd", "adam"]
    assert [len(axis.get_lines()) for axis in figure.axes] == [2, 2]
    assert figure._supxlabel.get_text() == "step"
    assert figure._supylabel.get_text() == "training loss (mean over 5 steps, log)"
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "activation: mean of 3 seeds, band from lowest to highest"
    assert [text.get_text() for text in legend.get_texts()] == ["relu", "tanh"]
    assert len({line.get_linestyle() + line.get_color() for line in figure.axes[0].get_lines()}) == 2


def test_line_is_the_mean_and_band_the_extremes_of_seeds(mixed: Any) -> None:
    step, mean, low, high = band(study_of(mixed), mixed.best()[0], "loss")
    expected = np.exp(-np.arange(10) / 2)
    np.testing.assert_allclose(step, np.arange(10) * 5 + 2.5)
    np.testing.assert_allclose(mean, 1.1 * expected, rtol=1e-6)
    np.testing.assert_allclose(low, expected, rtol=1e-6)
    np.testing.assert_allclose(high, 1.2 * expected, rtol=1e-6)


def test_long_runs_have_few_points_and_keep_their_mean(swept: Any) -> None:
    results = swept([{"learning_rate": 0.01}], steps=1003, stride=5)
    study = study_of(results)
    step, mean, _, _ = band(study, results.best()[0], "loss")
    assert len(step) <= POINTS and stretch(study) % 5 == 0
    edges = np.minimum(np.arange(len(step) + 1) * stretch(study), 1003)
    np.testing.assert_allclose(step, (edges[1:] + edges[:-1]) / 2)
    fine = np.minimum(np.arange(202) * 5, 1003)
    whole = np.mean([np.sum(results.curves[i]["loss"] * np.diff(fine)) for i in range(3)])
    np.testing.assert_allclose(np.sum(mean * np.diff(edges)), whole, rtol=1e-6)


def test_without_a_finished_setting_each_shows_how_far_it_came(swept: Any) -> None:
    figure = report.curves(
        swept([{"optimizer": o, "learning_rate": 1.0} for o in ("sgd", "adam")], fate=lambda r: "diverged")
    )
    assert [len(line.get_xdata()) for line in figure.axes[0].get_lines()] == [1, 1]


def test_the_legend_has_no_name_without_a_line(swept: Any) -> None:
    cells = [{"activation": a, "learning_rate": 0.01} for a in ("relu", "tanh", "gelu")]
    figure = report.curves(swept(cells, fate=lambda row: "waiting" if 2 < row.id < 6 else "done"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["relu", "gelu"]
    colours = [line.get_color() for line in figure.axes[0].get_lines()]
    assert [handle.get_color() for handle in figure.legends[0].legend_handles] == colours


def test_no_curve_yet(swept: Any) -> None:
    with pytest.raises(ValueError, match="no learning curves yet"):
        report.curves(swept([{"learning_rate": 0.01}], fate=lambda row: "waiting"))


def test_too_many_combinations_keep_the_best(swept: Any) -> None:
    cells = [{"activation": f"a{i}", "optimizer": f"o{j}", "learning_rate": 0.01} for i in range(10) for j in range(11)]
    score = lambda row: int(row.columns["activation"][1:]) / 20 + int(row.columns["optimizer"][1:]) / 40  # noqa: E731
    figure = report.curves(swept(cells, seeds=1, score=score))
    assert [axis.get_title("left") for axis in figure.axes if axis.get_visible()] == [f"o{j}" for j in range(2, 11)]
    assert "(best 9 of 11 optimizers, 8 of 10 activations)" in figure.legends[0].get_title().get_text()


def test_one_setting(swept: Any) -> None:
    figure = report.curves(swept([{"learning_rate": 0.01}], seeds=1))
    assert len(figure.axes) == 1 and len(figure.axes[0].get_lines()) == 1
