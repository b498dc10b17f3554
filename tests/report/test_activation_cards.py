"""Cards, pictures and the gallery of activations."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.report import activation_card, activation_gallery, activation_picture
from jaxopt_lite.report._activation_cards import _drawn, _row


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_card_fits_the_terminal_and_says_what_matters(name: str) -> None:
    card, row = activation_card(name), CATALOGUE[name]
    assert max(len(line) for line in card.splitlines()) <= 80
    words = " ".join(card.split())
    for text in (name, row.formula, row.use, row.weakness, row.reference):
        assert " ".join(text.split()) in words
    for label in ("formula", "range", "centre", "shape", "saturates", "gain", "keeps", "use", "weakness", "reference"):
        assert re.search(rf"^{label} ", card, re.MULTILINE)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown activation 'gelo': did you mean 'gelu'"):
        activation_card("gelo")
    with pytest.raises(ValueError, match="unknown activation"):
        activation_picture("gelo", "gelo.png")


def test_cards_need_no_jax() -> None:
    code = (
        "import sys; from jaxopt_lite.report import activation_card; activation_card('tanh');"
        "print('jax' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", ["tanh", "swiglu", "hardshrink"])
def test_a_picture_is_written(name: str, tmp_path: Path) -> None:
    path = activation_picture(name, tmp_path / f"{name}.svg")
    text = path.read_text()
    assert "<svg" in text and len(text) > 5000


@pytest.mark.parametrize("name", [name for name, row in CATALOGUE.items() if not row.saturates])
def test_no_shade_at_the_ends_of_a_function_that_saturates_nowhere(name: str) -> None:
    axes = _drawn(name, _row(name), width=4, height=3).axes[0]
    reach = axes.get_xlim()[1]
    for shade in axes.collections:
        for outline in shade.get_paths():
            assert np.abs(outline.vertices[:, 0]).max() < 0.99 * reach


def test_the_gallery_is_one_page_without_a_network(tmp_path: Path) -> None:
    page = activation_gallery(tmp_path / "new" / "folder")
    text = page.read_text()
    assert [p.name for p in page.parent.iterdir()] == ["index.html"]
    for name in CATALOGUE:
        assert f'id="{name}"' in text and f'href="#{name}"' in text
    assert text.count("<svg") == len(CATALOGUE)
    assert not re.findall(r"(?:src|href)=[\"']https?:", text) and "<script" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
