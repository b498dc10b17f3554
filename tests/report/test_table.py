"""The leaderboard: order, rounding, what fits, and every odd kind of sweep."""

import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from jaxopt_lite import report
from jaxopt_lite.report._line import _mean
from jaxopt_lite.report._numbers import interval, setting_labels, supported_decimals
from jaxopt_lite.sweeps import Mean
from tests.report.conftest import grid


def printed(results: Any, width: int = 80, rows: int = 10, encoding: str = "utf-8") -> str:
    class Sized(Console):
        @property
        def encoding(self) -> str:
            return encoding

    console = Sized(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(report.table(results, rows=rows))
    return captured.get()


def test_best_setting_of_each_combination_best_first(mixed: Any) -> None:
    lines = printed(mixed).splitlines()
    body = [line for line in lines if "adam" in line or "sgd" in line]
    assert ["tanh" in body[0], "adam" in body[0], "0.01" in body[0]] == [True] * 3
    assert [("relu" in b, "adam" in b) for b in body] == [(False, True), (True, True), (False, False), (True, False)]
    assert "0.954 ± 0.025" in body[0]
    assert body[1].lstrip().startswith("≈ 2")  # the difference, 0.004 ± 0.043, includes 0
    assert "≈" not in body[2]
    assert body[0].rstrip().endswith("1/15") and body[1].rstrip().endswith("3/15") and body[2].rstrip().endswith("0")


def test_notes_say_what_the_sweep_was(mixed: Any) -> None:
    text = printed(mixed, rows=3)
    assert "digits · 50 steps · 3 seeds · 60 runs, 4 diverged · best 3 of 4 combinations" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_fits_and_never_cuts_the_score(mixed: Any, width: int) -> None:
    text = printed(mixed, width)
    assert max(map(len, text.splitlines())) <= width
    assert "0.954 ± 0.025" in text


def test_columns_leave_in_order(mixed: Any) -> None:
    assert "●" in printed(mixed, 120) and "loss" in printed(mixed, 120)
    assert "●" not in printed(mixed, 75) and "loss" in printed(mixed, 75)
    assert "loss" not in printed(mixed, 50) and "learning" in printed(mixed, 55)


def test_only_ascii_where_the_terminal_has_no_more(mixed: Any) -> None:
    assert printed(mixed, 120, encoding="ascii").isascii()


def test_numbers_only(swept: Any) -> None:
    text = printed(swept([{"learning_rate": rate} for rate in (1e-3, 1e-2, 1e-1)]))
    rows = [line for line in text.splitlines() if "±" in line]
    assert len(rows) == 3 and "0.01" in rows[0] and "0.950" in rows[0]


def test_one_trial_one_seed(swept: Any) -> None:
    text = printed(swept([{"activation": "relu", "learning_rate": 0.01}], seeds=1))
    assert "relu" in text and "0.94" in text and "±" not in text and "1 run" in text


def test_all_diverged(swept: Any) -> None:
    text = printed(swept([{"optimizer": o, "learning_rate": 1.0} for o in ("sgd", "adam")], fate=lambda r: "diverged"))
    assert "Every run diverged" in text and "3 of 3 diverged" in text and "nan" not in text


def test_unfinished_says_how_much_is_done(swept: Any) -> None:
    fate = {0: "done", 1: "done", 2: "done", 3: "running"}
    cells = [{"optimizer": o, "learning_rate": 0.01} for o in ("sgd", "adam", "lion")]
    text = printed(swept(cells, fate=lambda row: fate.get(row.id, "waiting")))
    assert "unfinished: 3 of 9 runs ended" in text and "waiting" in text


def test_a_setting_with_a_lost_seed_has_no_mean(swept: Any) -> None:
    results = swept(
        [{"learning_rate": 0.01}, {"learning_rate": 0.1}], fate=lambda r: "diverged" if r.id == 0 else "done"
    )
    first, second = (line for line in printed(results).splitlines() if "0.1 " in line or "0.01 " in line)
    assert "0.900" in first and "1 of 3 diverged" in second


def test_fixed_columns_stand_in_a_note(swept: Any) -> None:
    text = printed(swept([{"optimizer": "adam", "learning_rate": rate} for rate in (0.01, 0.1)]))
    assert "not varied: optimizer adam" in text and text.count("adam") == 1


def test_markup_in_names_is_text(swept: Any) -> None:
    text = printed(swept([{"activation": name, "learning_rate": 0.01} for name in ("[red]x[/red]", "[/]")]))
    assert "[red]x[/red]" in text and "[/]" in text


def test_wrong_number_of_rows(mixed: Any) -> None:
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        report.table(mixed, rows=0)


@pytest.mark.parametrize(
    ("half_width", "decimals"),
    [
        (0.0261, 3),
        (0.0105, 3),
        (0.0069, 3),
        (0.05, 2),
        (0.00098, 4),
        (12.0, 0),
        (3.2, 1),
        (0.0, None),
        (float("nan"), None),
    ],
)
def test_digits_that_an_interval_supports(half_width: float, decimals: int | None) -> None:
    assert supported_decimals(half_width) == decimals


def test_an_interval_of_agreeing_seeds_takes_the_usual_digits() -> None:
    assert interval(Mean(0.975, 0.0), 3) == "0.975 ± 0.000"
    assert interval(Mean(0.97512, float("nan"))) == "0.9751"


def test_seeds_that_agree_up_to_rounding_add_no_digits() -> None:
    assert interval(Mean(0.10000000000000002, 4e-17), 3) == "0.100 ± 0.000"
    assert interval(Mean(0.10000000000000002, 4e-17)) == "0.1 ± 0"
    assert interval(Mean(0.0, 0.0)) == "0 ± 0"


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [
        (0.966, 0.3, "0.97"),
        (0.9255, 0.02, "0.93"),
        (0.9255, 0.0002, "0.93"),
        (8.31, 3.0, "8.3"),
        (1234.0, 500.0, "1234"),
    ],
)
def test_a_mean_without_its_interval_has_two_digits_at_least(mean: float, half_width: float, text: str) -> None:
    assert _mean(Mean(mean, half_width), 2) == text


def test_close_numbers_keep_different_labels() -> None:
    assert len(set(setting_labels([0.10001, 0.10002, 0.1]).values())) == 3


def test_a_table_needs_neither_matplotlib_nor_jax_of_its_own() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from jaxopt_lite.report import table\n"
        "assert 'jax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


SCORES = {  # by activation: a score for each of three seeds
    "relu": (0.975, 0.975, 0.975),
    "gelu": (0.97, 0.9749, 0.9799),
    "tanh": (0.9, 0.905, 0.91),
}


def test_agreeing_seeds_do_not_beat_a_rival_whose_interval_covers_them(swept: Any) -> None:
    results = swept(grid(activation=list(SCORES)), score=lambda row: SCORES[row.columns["activation"]][row.seed])
    lines = [line.split() for line in printed(results, 120).splitlines() if "0.9" in line]
    assert [line[:3] for line in lines] == [["1", "relu", "0.975"], ["≈", "2", "gelu"], ["3", "tanh", "0.905"]]


def test_differences_are_paired_by_seed(swept: Any) -> None:
    # the intervals of the means overlap; with every seed the first is better by the same amount
    better = {"relu": 0.03, "gelu": 0.0}
    results = swept(
        grid(activation=list(better)), score=lambda row: 0.9 + 0.05 * row.seed + better[row.columns["activation"]]
    )
    assert "≈" not in printed(results, 120)


@pytest.mark.parametrize("width", [70, 80, 100])
def test_many_numbers_are_never_cut(swept: Any, width: int) -> None:
    names = ("learning_rate", "momentum", "weight_decay", "dropout", "warmup")
    cells = [{"activation": "leaky_relu", "optimizer": "momentum", **dict.fromkeys(names, 0.0123 * k)} for k in (1, 2)]
    text = printed(swept(cells, seeds=2), width)
    assert max(map(len, text.splitlines())) <= width
    shown = [text.count(number) for number in ("0.0123", "0.0246")]
    if "other" in text:  # three columns of numbers, and a column of two numbers with their names
        assert shown == [5, 5] and "warmup 0.0123" in text
    else:  # a note has the other settings of the best
        assert width < 100 and shown == [5, 3] and "other settings of 1: dropout 0.0123, warmup 0.0123" in text


def test_one_seed_ties_nothing(swept: Any) -> None:
    assert "≈" not in printed(swept([{"learning_rate": rate} for rate in (0.01, 0.0101)], seeds=1))
