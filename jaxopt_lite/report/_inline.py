"""Pictures as part of a page: themed by its colours, named for those who do not see them, scaled to its width."""

import re
from html import escape
from typing import TYPE_CHECKING

from jaxopt_lite.report import _style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of the page's light and dark mode that stand for those of a picture on paper.
THEMED = {
    _style.INK: "--ink",
    _style.FRAME: "--frame",
    _style.TICK: "--faint",
    _style.GRID: "--grid",
    _style.LOST: "--lost",
    _style.LOST_INK: "--lost-ink",
    _style.OPEN: "--open",
    **{colour: f"--series-{i}" for i, colour in enumerate(_style.PALETTE)},
}


def inline(drawn: "Figure", name: str, description: str) -> str:
    """The figure as an `<svg>` for a page: `name` (a word) keeps its ids apart from those of other pictures.

    `description` is read aloud instead of the picture.
    """
    text = _style.svg(drawn, transparent=True)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub("|".join(map(re.escape, THEMED)), lambda found: f"var({THEMED[found[0]]}, {found[0]})", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would hold for the whole page
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    points = float(re.search(r'width="([\d.]+)pt"', text)[1])  # type: ignore[index]
    box = re.search(r'viewBox="[^"]+"', text)[0]  # type: ignore[index]
    label = escape(description, quote=True)
    opening = f'<svg {box} role="img" aria-label="{label}" style="width:{points / 12:.1f}rem">'
    return opening + text[text.index(">") + 1 :].replace("\n", " ")
