"""A diagnosis as text for a terminal and as HTML for a notebook."""

import html as html_
import math
import textwrap
from typing import Any

from jaxopt_lite.diagnostics._layer import Layer
from jaxopt_lite.diagnostics._rules import HINTS

WIDTH = 80
_HEAD = ("layer", "activation", "rms z", "dead", "flat", "alike", "gradient", "")
_WIDTHS = (22, 10, 8, 5, 5, 5, 8, 10)
_ROWS = 24  # of a longer table the rows of the first, the last and the troubled layers are shown


def text(diagnosis: Any) -> str:
    """Table, verdict and remedies, at most 80 columns wide."""
    lines = [_line(_HEAD), *(_line(row) if row else "..." for row in _rows(diagnosis.layers)), ""]
    lines += _wrapped(f"{diagnosis.verdict.upper()}: {diagnosis.explanation}.")
    for i, remedy in enumerate(diagnosis.remedies):
        lines += ["", *_wrapped(f"{'Or' if i else 'To do'}: {remedy.text}")]
        lines += [f"    {line}" for line in remedy.code.splitlines()]
    if diagnosis.hints:
        lines += ["", *(line for hint in diagnosis.hints for line in _wrapped(f"Note: {hint}."))]
    return "\n".join(lines)


def html(diagnosis: Any) -> str:
    """The same as HTML."""
    rows = ["".join(f"<td>{html_.escape(cell)}</td>" for cell in row or ("...",)) for row in _rows(diagnosis.layers)]
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    table = f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    rest = text(diagnosis).split("\n\n", 1)[1]
    return f"{table}<pre>{html_.escape(rest)}</pre>"


def _rows(layers: tuple[Layer, ...]) -> list[tuple[str, ...] | None]:
    """The cells of each layer; None where layers are left out."""
    if len(layers) <= _ROWS:
        return [_cells(layer) for layer in layers]
    ends = _ROWS // 2
    return [*map(_cells, layers[:ends]), None, *map(_cells, layers[-ends:])]


def _cells(layer: Layer) -> tuple[str, ...]:
    trouble = next((name for name in layer.troubles if name not in HINTS), "")
    shares = (_share(layer.dead), _share(layer.saturated))
    alike = "-" if math.isnan(layer.alike) else f"{layer.alike:.2f}"
    return (layer.name, layer.activation or "-", f"{layer.rms:.3g}", *shares, alike, f"{layer.ratio:.2g}", trouble)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def _line(cells: tuple[str, ...]) -> str:
    fitted = [_fitted(cell, width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    aligned = [
        c.ljust(w) if i in (0, 1, 7) else c.rjust(w) for i, (c, w) in enumerate(zip(fitted, _WIDTHS, strict=True))
    ]
    return " ".join(aligned).rstrip()


def _fitted(cell: str, width: int) -> str:
    """The end of a cell that is too wide, which tells layers apart."""
    return cell if len(cell) <= width else f"…{cell[1 - width :]}"


def _wrapped(paragraph: str) -> list[str]:
    return textwrap.wrap(paragraph, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
