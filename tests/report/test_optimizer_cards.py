"""The cards: every row of the catalogue, plain text within 80 columns, drawn paths that were really run."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxopt_lite.optimizers import CATALOGUE
from jaxopt_lite.report import optimizer_card, optimizer_picture


@pytest.mark.parametrize("name", CATALOGUE)
def test_card(name: str) -> None:
    card = optimizer_card(name)
    row = CATALOGUE[name]
    assert card.startswith(f"{name}: {row.title}")
    assert max(map(len, card.splitlines())) <= 80
    flat = " ".join(card.split())
    for text in (row.formula, row.use, row.weakness, row.reference):
        assert " ".join(text.split()) in flat


def test_card_without_jax() -> None:
    code = (
        "import sys; from jaxopt_lite.report import optimizer_card; optimizer_card('adam');"
        "assert not {'jax', 'optax', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="unknown optimizer 'adan': did you mean 'adam'"):
        optimizer_card("adan")


def test_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert optimizer_picture("momentum", tmp_path / "momentum.png").stat().st_size > 20_000
    with pytest.raises(ValueError, match="unknown optimizer"):
        optimizer_picture("none", tmp_path / "none.png")
    assert [p.name for p in tmp_path.iterdir()] == ["momentum.png"]
