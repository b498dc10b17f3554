"""The page: complete, honest, escaped, self-contained, and written all or not at all."""

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from jaxopt_lite import report
from tests.report.conftest import grid


class Tags(HTMLParser):
    """Every tag with its attributes; fails on a tag that is closed without being open."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "use", "rect", "image"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


@pytest.fixture
def text(mixed: Any, tmp_path: Path) -> str:
    path = report.page(mixed, tmp_path / "page.html")
    assert path == tmp_path / "page.html"
    return path.read_text(encoding="utf-8")


def test_question_answer_and_cautions(text: str) -> None:
    assert (
        "Which of 2 activations × 2 optimizers × 5 learning rates (0.0001 to 1) gives the highest test accuracy "
        "on digits after 50 steps?" in text
    )
    assert "<strong>tanh, adam, learning rate 0.01</strong>" in text
    assert "test accuracy 0.954 ± 0.025 <small>mean and 95 % interval over 3 seeds" in text
    assert (
        "3 seeds do not distinguish it from 1 other combination (the 95 % interval of the difference, paired by seed, "
        "includes 0): relu, adam (0.950)." in text
    )
    chosen = "Selected as the best of 18 settings by the score shown here, which makes it optimistic: "
    assert chosen + "measure it again on data that the sweep did not use and with other seeds." in text


def test_every_part_is_there(text: str) -> None:
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert heads == [
        "Best of each activation × optimizer",
        "Test accuracy by learning rate",
        "Learning curves",
        "All settings",
        "Diverged runs",
        "How the sweep was run",
    ]
    for fact in (
        "2 programs for 2 structures, compiled in 5.0 s",
        "30 runs per second",
        "jax 0.10.2",
        "cpu: cpu",
        "0, 1, 2",
    ):
        assert fact in text


def test_all_settings_and_diverged_runs(text: str) -> None:
    settings = text[text.index('id="all"') : text.index("Diverged runs")]
    assert settings.count("<tr class=") == 20
    assert settings.index("0.954 ± 0.025") < settings.index("0.950 ± 0.025") < settings.index("3 of 3 diverged")
    assert "2 done, 1 diverged" in settings
    lost = text[text.index("<h2>Diverged runs") : text.index("How the sweep was run")]
    assert "4 runs of 60: the loss or the objective became NaN or infinite." in lost and lost.count("<tr") == 5
    assert lost.count('<td class="n">5</td>') == 4  # one point of five steps was finite


def test_it_asks_nothing_of_the_network(text: str) -> None:
    assert "http:" not in text and "https:" not in text and "//cdn" not in text
    tags = parsed(text)
    for tag, attributes in tags.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
        if tag == "use":
            assert (attributes.get("xlink:href") or attributes.get("href") or "").startswith("#")
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text and "default-src 'none'" in text


def test_pictures_are_named_themed_and_their_ids_apart(text: str) -> None:
    tags = parsed(text)
    pictures = [attributes for tag, attributes in tags.tags if tag == "svg"]
    assert len(pictures) == 2 and all(p["role"] == "img" and p["aria-label"] and p["viewbox"] for p in pictures)
    ids = [attributes["id"] for _, attributes in tags.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert used <= set(ids)
    assert "var(--ink, #1f2933)" in text and "prefers-color-scheme: dark" in text
    for tag, attributes in tags.tags:
        if tag == "th":
            assert attributes["scope"] == "col"


def test_the_sorted_column_says_so_and_sorts_by_numbers(text: str) -> None:
    heads = [a for tag, a in parsed(text).tags if tag == "th" and "data-first" in a]
    assert [a.get("aria-sort") for a in heads] == [None, None, None, "descending", None, None]
    values = [a["data-v"] for tag, a in parsed(text).tags if tag == "td" and a.get("data-v") is not None]
    assert "0.0001" in values and "" in values
    assert any(v and v.startswith("0.954") and len(v) > 6 for v in values)  # not the rounded number


def first_order(text: str, column: str) -> str:
    """The order in which a column of the table of all settings sorts at the first click."""
    order = re.search(rf'data-first="(\w+)"[^>]*><button[^>]*>{column}</button>', text)
    assert order is not None
    return order[1]


@pytest.mark.parametrize("name", ["mse", "nll", "perplexity"])
def test_the_best_comes_first_whatever_the_name_of_the_objective(swept: Any, tmp_path: Path, name: str) -> None:
    results = swept([{"learning_rate": rate} for rate in (0.001, 0.01)], objective=name, mode="min")
    text = report.page(results, tmp_path / "page.html").read_text()
    assert first_order(text, name) == "ascending" and "the lowest " + name in text


def test_the_direction_of_other_scores_is_the_stored_one(swept: Any, tmp_path: Path) -> None:
    cells = [{"learning_rate": rate} for rate in (0.001, 0.01)]
    for modes, order in (({}, "ascending"), ({"test_loss": "min"}, "ascending"), ({"test_loss": "max"}, "descending")):
        text = report.page(swept(cells, modes=modes), tmp_path / "page.html").read_text()
        assert first_order(text, "test loss") == order  # whatever the name suggests


NASTY = "<script>alert('1')</script>&\"$x_$"


def test_data_is_escaped(swept: Any, tmp_path: Path) -> None:
    cells = [{"activation": a, NASTY: n} for a in (NASTY, "relu") for n in (0.1, 0.01)]
    results = swept(
        cells, task=NASTY, device=NASTY, versions={NASTY: NASTY}, fate=lambda r: "diverged" if r.id == 1 else "done"
    )
    text = report.page(results, tmp_path / "page.html").read_text()
    assert text.count("<script>") == 1 and "<script>alert" not in text and "&lt;script&gt;" in text
    parsed(text)


def test_nothing_finished_still_gives_a_page(swept: Any, tmp_path: Path) -> None:
    results = swept([{"activation": a, "learning_rate": 0.1} for a in ("relu", "tanh")], fate=lambda row: "waiting")
    text = report.page(results, tmp_path / "page.html").read_text()
    assert "Nothing has finished yet." in text and "6 of 6 runs are still to do" in text
    assert '<progress value="0" max="6"' in text
    parsed(text)


def test_all_diverged_and_half_done(swept: Any, tmp_path: Path) -> None:
    cells = [{"activation": a, "learning_rate": r} for a in ("relu", "tanh") for r in (0.1, 1.0)]
    lost = report.page(swept(cells, fate=lambda row: "diverged"), tmp_path / "a.html").read_text()
    assert "Every run diverged" in lost and "nan" not in re.sub(r"<svg.*?</svg>", "", lost, flags=re.DOTALL)
    half = report.page(
        swept(cells, fate=lambda row: "done" if row.id < 6 else "running"), tmp_path / "b.html"
    ).read_text()
    assert "Not final: 6 of 12 runs are still to do." in half and '<progress value="6" max="12"' in half


def test_best_at_the_end_of_what_was_tried(swept: Any, tmp_path: Path) -> None:
    results = swept([{"learning_rate": rate} for rate in (0.01, 0.1, 1.0)])
    assert (
        "The best lies at the lowest learning rate tried: look beyond it."
        in report.page(results, tmp_path / "p").read_text()
    )


def test_selection_makes_a_score_optimistic_only_if_it_is_random(swept: Any, tmp_path: Path) -> None:
    cells = [{"learning_rate": rate / 20} for rate in range(1, 20)]
    without_data = hashlib.sha256().hexdigest()

    def advice(**options: Any) -> str:
        text = report.page(swept(cells, **options), tmp_path / "page.html").read_text()
        return "".join(re.findall(r"measure it again ([^.]*)\.", text))

    fixed = lambda row: row.columns["learning_rate"]  # noqa: E731
    assert advice(data=without_data, score=fixed) == ""  # a deterministic function
    assert advice(data=without_data, score=fixed, seeds=1) == ""
    assert advice(data=without_data) == "with other seeds"
    assert advice(data="digest", score=fixed) == "on data that the sweep did not use"


def test_advice_about_the_learning_rate_needs_one(swept: Any, tmp_path: Path) -> None:
    def text(**columns: list[Any]) -> str:
        results = swept(grid(**columns), fate=lambda row: "diverged")
        return report.page(results, tmp_path / "page.html").read_text()

    assert "try smaller learning rates" in text(learning_rate=[0.1, 1.0])
    assert "Every run diverged" in text(clip=[0.1, 1.0]) and "smaller" not in text(clip=[0.1, 1.0])


def test_intervals_that_the_frame_cuts_fade_out(swept: Any, tmp_path: Path) -> None:
    noise = {"relu": 0.01, "gelu": 0.01, "tanh": 0.01, "elu": 0.2}
    results = swept(
        [{"activation": a} for a in noise], score=lambda row: 0.9 + noise[row.columns["activation"]] * row.seed
    )
    text = report.page(results, tmp_path / "p").read_text()
    assert "An interval that fades out goes on" in text
    cut = re.findall(r'title="([^"]*)"><i class="([^"]*)"', text)
    assert cut == [("0.6032 to 1.597", "left right")]
    even = report.page(swept([{"activation": a} for a in noise]), tmp_path / "p").read_text()
    assert "fades out" not in even and '<i class="' not in even


def test_better_than_all_others(swept: Any, tmp_path: Path) -> None:
    text = report.page(swept([{"learning_rate": rate} for rate in (0.01, 0.1, 1.0)]), tmp_path / "p").read_text()
    assert "Better than each of the 2 other finished settings: the 95 % interval of the difference" in text


def test_three_agreeing_seeds_do_not_prove_superiority(swept: Any, tmp_path: Path) -> None:
    scores = {"relu": (0.975, 0.975, 0.975), "gelu": (0.97, 0.9749, 0.9799)}
    results = swept([{"activation": a} for a in scores], score=lambda row: scores[row.columns["activation"]][row.seed])
    text = report.page(results, tmp_path / "p").read_text()
    assert "3 seeds do not distinguish it from 1 other combination" in text and "Better than" not in text


def test_nothing_lies_beyond_zero(swept: Any, tmp_path: Path) -> None:
    score = lambda row: 0.9 - row.columns["momentum"] / 10  # noqa: E731
    results = swept([{"momentum": momentum} for momentum in (0.0, 0.5, 0.9)], score=score)
    assert "look beyond it" not in report.page(results, tmp_path / "p").read_text()


def test_one_seed_is_said_to_be_one(swept: Any, tmp_path: Path) -> None:
    results = swept([{"learning_rate": rate} for rate in (0.001, 0.01, 0.1)], seeds=1)
    text = report.page(results, tmp_path / "p").read_text()
    assert "one seed, no interval" in text and "may be due to chance" in text and "±" not in text


def test_equal_results_give_equal_pages(mixed: Any, tmp_path: Path) -> None:
    pages = [report.page(mixed, tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_a_failed_write_leaves_the_old_page(mixed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")

    def fails(self: Path, other: Path) -> Path:
        raise OSError("full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="full"):
        report.page(mixed, target)
    assert target.read_text() == "old" and [p.name for p in tmp_path.glob(".*")] == []


def test_without_matplotlib_the_page_says_what_is_missing(
    mixed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = report.page(mixed, tmp_path / "page.html").read_text()
    assert "pictures need matplotlib: pip install &#39;jaxopt-lite[plot]&#39;" in text and "0.954 ± 0.025" in text


def test_without_jinja2_nothing_is_written(mixed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError, match="pages need jinja2: pip install") as error:
        report.page(mixed, tmp_path / "page.html")
    assert error.value.name == "jinja2" and list(tmp_path.glob("*.html")) == []


def test_many_numbers_put_the_score_first_and_fold_pictures_away(swept: Any, tmp_path: Path) -> None:
    numbers = dict.fromkeys(("learning_rate", "momentum", "weight_decay", "dropout", "warmup"), (0.1, 0.2))
    score = lambda row: 0.9 - 0.1 * sum(v for v in row.columns.values() if isinstance(v, float))  # noqa: E731
    results = swept(grid(activation=["relu", "tanh"], **numbers), seeds=2, score=score)
    text = report.page(results, tmp_path / "page.html").read_text()
    heads = re.findall(r"<th [^>]*>(?:<button[^>]*>)?([^<]*)", text)
    assert heads[1:5] == ["activation", "test accuracy ↑", "95 % interval", "learning rate"]
    shown, _, folded = text.partition("<details>")
    assert shown.count("<svg") == 3 and folded.partition("</details>")[0].count("<svg") == 2
    assert "2 more pictures: Test accuracy by dropout" in folded
    assert "relu, learning rate 0.1, momentum 0.1, weight decay 0.1</strong>" in text
    assert "dropout 0.1, warmup 0.1</span>" in text
    parsed(text)


def test_the_tables_of_many_runs_show_the_best_and_say_so(tmp_path: Path, monkeypatch: Any) -> None:
    from jaxopt_lite import sweeps
    from jaxopt_lite.report import _page_tables

    monkeypatch.setattr(_page_tables, "LONGEST", 5)
    rates = [0.01 * i for i in range(1, 21)]
    status = ["done"] * 12 + ["diverged"] * 8
    columns = {"rate": rates, "seed": [0] * 20, "status": status, "loss": [*rates[:12], *[float("nan")] * 8]}
    table = sweeps.Results(columns, ("rate",), "loss", "min", {"seeds": [0], "steps": 9}, [{}] * 20, None)
    written = report.page(table, tmp_path / "p.html").read_text(encoding="utf-8")
    assert "the best 5 of 20 settings" in written and "The first 5 are shown." in written
    rows = re.search(r'<table class="sortable".*?</table>', written, re.DOTALL).group()
    assert rows.count("<tr") == 1 + 5
