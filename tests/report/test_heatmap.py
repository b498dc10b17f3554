"""Heat maps: every cell tells its mean or its fate, axes have names and units, many values give points instead."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from jaxopt_lite import _style, report
from jaxopt_lite.report._pictures._scale import scale_of


def texts(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.texts]


def note(figure: Any) -> str:
    return figure._supxlabel.get_text()


def test_cells_axes_and_title(mixed: Any) -> None:
    [(title, figure)] = report.heatmaps(mixed)
    axis = figure.axes[0]
    figure.canvas.draw()
    assert title == "Test accuracy by learning rate"
    assert axis.get_xlabel() == "learning rate" and axis.get_ylabel() == "activation"
    assert [t.get_text() for t in axis.get_xticklabels()] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["relu", "tanh", "relu", "tanh"]
    shown = texts(axis)
    assert shown[0] == "sgd" and "adam" in shown and "★ 0.954" in shown and "0.950" in shown
    assert figure.axes[1].get_ylabel() == "test accuracy"


def test_diverged_cells_are_marked_by_signs(mixed: Any) -> None:
    figure = report.heatmaps(mixed)[0][1]
    shown = texts(figure.axes[0])
    assert shown.count("✕") == 1 and shown.count("✕ 1/3") == 1
    assert "✕ diverged" in note(figure) and "✕ 1/3: 1 of 3 runs diverged" in note(figure)
    faces = [to_hex(p.get_facecolor()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert faces.count(_style.DIVERGED) == 2


def test_failed_cells_are_marked_as_diverged_ones_are(swept: Any) -> None:
    cells = [{"activation": a, "learning_rate": r} for a in ("relu", "tanh") for r in (0.01, 0.1)]
    fates = ["done"] * 3 + ["failed"] * 3 + ["done"] * 2 + ["failed"] + ["diverged"] * 3
    figure = report.heatmaps(swept(cells, fate=lambda row: fates[row.id]))[0][1]
    assert [text for text in texts(figure.axes[0]) if "★" not in text] == ["failed", "failed\n1/3", "✕"]
    faces = [to_hex(p.get_facecolor()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert faces.count(_style.DIVERGED) == 3
    assert "failed 1/3: 1 of 3 runs failed" in note(figure) and "…" not in note(figure)


def test_no_signs_are_explained_that_do_not_occur(swept: Any) -> None:
    cells = [{"activation": a, "learning_rate": r} for a in ("relu", "tanh") for r in (0.01, 0.1)]
    assert "✕" not in note(report.heatmaps(swept(cells))[0][1])


def test_unfinished_cells(swept: Any) -> None:
    cells = [{"activation": a, "learning_rate": r} for a in ("relu", "tanh") for r in (0.01, 0.1)]
    figure = report.heatmaps(swept(cells, fate=lambda row: "done" if row.id < 6 else "waiting"))[0][1]
    assert texts(figure.axes[0]).count("…") == 2 and "not finished" in note(figure)


def test_best_over_another_number_says_so(swept: Any) -> None:
    cells = [
        {"activation": a, "learning_rate": r, "weight_decay": w}
        for a in ("relu", "tanh")
        for r in (0.01, 0.1)
        for w in (0.0, 0.1)
    ]
    score = lambda row: 0.9 if row.columns["weight_decay"] else 0.8  # noqa: E731
    (first, figure), (second, _) = report.heatmaps(swept(cells, score=score, seeds=1))
    assert first == "Test accuracy by learning rate, best over weight decay"
    assert second == "Test accuracy by weight decay, best over learning rate"
    assert {t.removeprefix("★ ") for t in texts(figure.axes[0])} == {"0.9"}


def test_two_numbers_and_no_names_make_one_map(swept: Any) -> None:
    cells = [{"learning_rate": r, "momentum": m} for r in (0.01, 0.1, 1.0) for m in (0.0, 0.9)]
    [(title, figure)] = report.heatmaps(swept(cells))
    assert title == "Test accuracy by learning rate and momentum"
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["0", "0.9"]


@pytest.mark.parametrize("fate", ["diverged", "failed"])
def test_drawn_numbers_give_points(swept: Any, fate: str) -> None:
    rates = np.geomspace(1e-4, 1, 40).tolist()
    cells = [{"activation": a, "learning_rate": r} for a in ("relu", "tanh") for r in rates]
    results = swept(cells, fate=lambda row: fate if row.columns["learning_rate"] > 0.7 else "done")
    [(title, figure)] = report.heatmaps(results)
    axis = figure.axes[0]
    assert title == "Test accuracy by learning rate" and axis.get_xscale() == "log"
    assert not axis.patches
    assert figure._supxlabel.get_text() == "learning rate (log)"
    assert figure._supylabel.get_text() == "test accuracy (higher is better)\nmean and 95 % interval, 3 seeds"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["relu", "tanh", f"seeds {fate}"]
    crosses = [line for line in axis.get_lines() if line.get_marker() == "x"]
    assert sum(len(line.get_xdata()) for line in crosses) == 4


@pytest.mark.parametrize(("seed", "low", "high"), [(0, 0.0, 0.99), (1, 0.0, 0.99), (2, 1e-3, 1.0)])
def test_axes_have_the_scale_of_the_distribution(swept: Any, seed: int, low: float, high: float) -> None:
    rng = np.random.default_rng(seed)
    cells = [
        {"learning_rate": float(10 ** rng.uniform(-4, 0)), "momentum": float(rng.uniform(low, high))} for _ in range(60)
    ]
    rates, momentum = (figure for _, figure in report.heatmaps(swept(cells, seeds=1)))
    assert rates.axes[0].get_xscale() == "log" and rates._supxlabel.get_text() == "learning rate (log)"
    assert momentum.axes[0].get_xscale() == "linear" and momentum._supxlabel.get_text() == "momentum"
    assert "interval" not in rates._supylabel.get_text()  # of one seed there is none


def test_no_panel_without_the_number(swept: Any) -> None:
    numbers = np.linspace(0.1, 0.9, 20).tolist()
    cells = [{"optimizer": "momentum", "activation": a, "momentum": m} for a in ("relu", "tanh") for m in numbers]
    cells += [{"optimizer": "adam", "activation": a, "momentum": None} for a in ("relu", "tanh")]
    [(_, figure)] = report.heatmaps(swept(cells, seeds=1))
    assert [axis.get_title("left") for axis in figure.axes] == ["momentum"]


@pytest.mark.parametrize(("objective", "name"), [("f", "f"), ("MSE", "MSE"), ("test_nll", "Test nll")])
def test_titles_keep_symbols(swept: Any, objective: str, name: str) -> None:
    cells = [{"activation": a, "learning_rate": r} for a in ("relu", "tanh") for r in (0.01, 0.1)]
    [(title, _)] = report.heatmaps(swept(cells, objective=objective))
    assert title == f"{name} by learning rate"


def test_many_rows_are_split_by_optimizer(swept: Any) -> None:
    cells = [
        {"activation": f"a{i}", "optimizer": o, "learning_rate": r}
        for i in range(25)
        for o in ("sgd", "adam")
        for r in (0.01, 0.1)
    ]
    titles, figures = zip(*report.heatmaps(swept(cells, seeds=1)), strict=True)
    assert titles == ("Test accuracy by learning rate: sgd", "Test accuracy by learning rate: adam")
    assert ["★ best of all" in note(figure) for figure in figures] == [True, False]


def test_a_setting_without_the_number_has_no_row(swept: Any) -> None:
    cells = [{"optimizer": "sgd", "learning_rate": r} for r in (0.01, 0.1)] + [
        {"optimizer": "lbfgs", "learning_rate": None}
    ]
    figure = report.heatmaps(swept(cells))[0][1]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["sgd"]


def test_nothing_finished_nothing_drawn(swept: Any) -> None:
    cells = [{"optimizer": "sgd", "learning_rate": r} for r in (0.01, 0.1)]
    assert report.heatmaps(swept(cells, fate=lambda row: "waiting")) == []
    assert report.heatmaps(swept(cells, fate=lambda row: "diverged")) == []


@pytest.mark.parametrize(
    ("values", "mode", "way"),
    [
        ([0.1, 0.9, 0.98], "max", "logarithmic in 1 − score"),
        ([1e-3, 1.0, 50.0], "min", "logarithmic"),
        ([1.0, 2.0], "min", "linear"),
        ([-3.0, 5.0], "max", "linear"),
        ([0.5, 0.5], "max", "linear"),
        ([0.0, 1.0], "max", "logarithmic in 1 − score"),
    ],
)
def test_the_good_end_is_the_bright_end(values: list[float], mode: str, way: str) -> None:
    scale = scale_of(values, mode)
    assert scale.way == way
    good, bad = (max(values), min(values)) if mode == "max" else (min(values), max(values))
    assert sum(scale.colour(good)[:3]) >= sum(scale.colour(bad)[:3])
    assert np.isfinite([scale.norm(v) for v in values]).all()


def test_dollars_in_names_are_text(swept: Any) -> None:
    cells = [{"activation": a, "learning_rate": r} for a in ("$x_$", "a$b") for r in (0.01, 0.1)]
    figure = report.heatmaps(swept(cells))[0][1]
    figure.canvas.draw()  # mathtext would fail on $x_$
