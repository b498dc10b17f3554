"""What a notebook displays of results."""

import re

import pytest

from jaxopt_lite import sweeps
from tests.report import searched as example

NASTY = "<script>alert('1')</script>&"


@pytest.fixture(scope="module")
def results():
    return example.swept()


def test_the_best_settings_with_intervals_and_how_their_runs_ended(results):
    text = results._repr_html_()
    counts = ", ".join(f"{results.columns['status'].count(s)} {s}" for s in dict.fromkeys(results.columns["status"]))
    assert f"Results of rates: 81 runs ({counts}), best by validation_score:" in text
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    assert len(rows) == 6
    best = results.best()[0]
    score, tested = (best.scores[name] for name in ("validation_score", "test_score"))
    for shown in (f"{score.mean:.4g} ± {score.half_width:.2g}", "3 done"):
        assert f">{shown}</td>" in rows[1]
    test = f"test_score of 1, which took no part in the selection: {tested.mean:.4g} ± {tested.half_width:.2g}"
    assert test in text and text.count("test_score") == 1  # that of other settings would select
    assert "1 done, 2 pruned" in rows[2] and "3 pruned at step 9" in rows[4]
    assert re.findall(r"<th[^>]*>(.*?)</th>", rows[0])[-2:] == ["validation_score", "runs"]


def test_settings_that_cannot_be_distinguished_are_marked_and_constants_left_out():
    columns = {"rate": [0.1] * 3 + [0.2] * 3, "fixed": [7] * 6, "seed": [0, 1, 2] * 2, "status": ["done"] * 6}
    columns["test_loss"] = [0.50, 0.41, 0.47, 0.46, 0.45, 0.49]
    facts = {"seeds": [0, 1, 2]}
    text = sweeps.Results(columns, ("rate", "fixed"), "test_loss", "min", facts, [{}] * 6, None)._repr_html_()
    assert ">≈ 2</td>" in text and "not distinguishable from 1" in text and "fixed" not in text


def test_names_are_escaped():
    columns = {NASTY: [NASTY, "b"], "seed": [0, 0], "status": ["done"] * 2, "test_loss": [1.0, 2.0]}
    facts = {"seeds": [0], "task": NASTY}
    text = sweeps.Results(columns, (NASTY,), "test_loss", "min", facts, [{}] * 2, None)._repr_html_()
    assert "<script>" not in text and text.count("&lt;script&gt;") == 3


def test_many_columns_stay_compact():
    names = [f"number_{i}" for i in range(9)]
    columns = {name: [i / 9, 1.0] for i, name in enumerate(names)}
    columns |= {"seed": [0, 0], "status": ["done"] * 2, "test_loss": [1.0, 2.0]}
    text = sweeps.Results(columns, tuple(names), "test_loss", "min", {"seeds": [0]}, [{}] * 2, None)._repr_html_()
    assert len(re.findall("<th ", text)) == 1 + 6 + 2 and "not shown: number_6, number_7, number_8" in text
