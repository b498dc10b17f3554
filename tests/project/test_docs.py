"""The documentation: every Python block runs, every link leads somewhere, and every page is linked."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT / "docs").as_posix())


@pytest.fixture
def catalogues_stay():
    """What a page registers is forgotten after it."""
    from jaxopt_lite import activations, optimizers

    before = [(catalogue, dict(catalogue)) for catalogue in (activations.CATALOGUE, optimizers.CATALOGUE)]
    yield
    for catalogue, rows in before:
        catalogue.clear()
        catalogue.update(rows)


@every_page
def test_python_blocks_run(page, tmp_path, monkeypatch, catalogues_stay):
    """The blocks of a page run one after another, as a reader pastes them."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names = {"__name__": "__docs__"}
    for block in BLOCK.finditer(text):
        lines_before = text[: block.start(1)].count("\n")
        exec(compile("\n" * lines_before + block[1], str(page), "exec"), names)
    assert not list(tmp_path.iterdir())


@every_page
def test_links_lead_to_files(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_every_page_is_linked_from_the_index():
    index = ROOT / "docs" / "index.md"
    links = {(index.parent / link).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}
    assert set(PAGES) - {index} <= links
