"""Figures as inline SVG: in the colours of the page's light or dark mode, labelled, scaled to the page's width."""

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from jaxopt_lite import _style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of a figure, and the variables of the style sheet that replace them.
THEMED = {
    _style.INK: "--ink",
    _style.FRAME: "--frame",
    _style.TICK: "--faint",
    _style.GRID: "--grid",
    _style.DIVERGED: "--diverged",
    _style.DIVERGED_INK: "--diverged-ink",
    _style.OPEN: "--open",
    **{colour: f"--series-{i}" for i, colour in enumerate(_style.PALETTE)},
}
_LINK = "{http://www.w3.org/1999/xlink}href"


def inline(drawn: "Figure", name: str, description: str) -> Any:
    """The figure as an `<svg>` element for a page.

    Args:
        drawn: the figure.
        name: a word that is unique in the page; it keeps the ids of the element apart from those of other figures.
        description: what a screen reader says instead.

    Returns:
        A `Markup`, which templates do not escape.
    """
    from markupsafe import Markup

    root = ElementTree.fromstring(_style.svg(drawn, transparent=True))
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):  # a style would apply to the whole page
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: _adapted(key, value, name) for key, value in element.items()}
    width = float(root.attrib["width"].removesuffix("pt")) / 12
    box = root.attrib["viewBox"]
    root.attrib = {"viewBox": box, "role": "img", "aria-label": description, "style": f"width:{width:.1f}rem"}
    return Markup(ElementTree.tostring(root, encoding="unicode").replace("\n", " "))


def _adapted(key: str, value: str, name: str) -> str:
    """The value of an attribute with ids that begin with the name of the figure, and themed colours."""
    if key == "id":
        return f"{name}-{value}"
    if key == _LINK:
        return value.replace("#", f"#{name}-")
    value = value.replace("url(#", f"url(#{name}-")
    for colour, variable in THEMED.items():
        value = value.replace(colour, f"var({variable}, {colour})")
    return value
