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
_WITH_UPDATE = (14, *_WIDTHS[1:-1], 7, 10)  # of a diagnosis with an optimizer, whose table has one more column
_ROWS = 24  # of a longer table so many rows are shown, of the first and the last layers, and the first of each trouble


def text(diagnosis: Any) -> str:
    """Table, verdict and remedies, at most 80 columns wide."""
    rows = _rows(diagnosis.layers)
    lines = [_line(_head(diagnosis.layers)), *(_line(row) if row else "…" for row in rows), ""]
    lines += _wrapped(f"{diagnosis.verdict.upper()}: {diagnosis.explanation}.")
    for i, remedy in enumerate(diagnosis.remedies):
        lines += ["", *_wrapped(f"{'Or' if i else 'To do'}: {remedy.text}")]
        lines += [f"    {line}" for line in remedy.code.splitlines()]
    if diagnosis.hints:
        lines += ["", *(line for hint in diagnosis.hints for line in _wrapped(f"Note: {hint}."))]
    return "\n".join(lines)


def html(diagnosis: Any) -> str:
    """The same as HTML."""
    rows = ["".join(f"<td>{html_.escape(cell)}</td>" for cell in row or ("…",)) for row in _rows(diagnosis.layers)]
    head = "".join(f"<th>{name}</th>" for name in _head(diagnosis.layers))
    table = f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    rest = text(diagnosis).split("\n\n", 1)[1]
    return f"{table}<pre>{html_.escape(rest)}</pre>"


def _head(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    return (*_HEAD[:-1], "update", "") if _updated(layers) else _HEAD


def _updated(layers: tuple[Layer, ...]) -> bool:
    """Whether there are update-to-weight ratios to show."""
    return not all(math.isnan(layer.update) for layer in layers)


def _rows(layers: tuple[Layer, ...]) -> list[tuple[str, ...] | None]:
    """The cells of each layer; None where layers are left out."""
    cells = [_cells(layer, _updated(layers)) for layer in layers]
    if len(cells) <= _ROWS:
        return [*cells]
    ends = _ROWS // 2
    troubled: dict[str, int] = {}
    for i, layer in enumerate(layers):
        for name in set(layer.troubles) - set(HINTS):
            troubled.setdefault(name, i)
    shown = sorted({*range(ends), *troubled.values(), *range(len(cells) - ends, len(cells))})
    rows: list[tuple[str, ...] | None] = []
    for before, i in zip([-1, *shown], shown, strict=False):
        rows += [cells[i]] if i == before + 1 else [None, cells[i]]
    return rows


def _cells(layer: Layer, updated: bool) -> tuple[str, ...]:
    trouble = next((name for name in layer.troubles if name not in HINTS), "")
    shares = (_share(layer.dead), _share(layer.saturated))
    alike = "-" if math.isnan(layer.alike) else f"{layer.alike:.2f}"
    update = ("-" if math.isnan(layer.update) else f"{layer.update:.2g}",) if updated else ()
    signals = f"{layer.rms:.3g}", *shares, alike, f"{layer.ratio:.2g}"
    return (layer.name, layer.activation or "-", *signals, *update, trouble)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def _line(cells: tuple[str, ...]) -> str:
    widths = _WIDTHS if len(cells) == len(_WIDTHS) else _WITH_UPDATE
    left = (0, 1, len(widths) - 1)
    fitted = [_fitted(cell, width) for cell, width in zip(cells, widths, strict=True)]
    return " ".join(
        c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(fitted, widths, strict=True))
    ).rstrip()


def _fitted(cell: str, width: int) -> str:
    """The end of a cell that is too wide, which tells layers apart."""
    return cell if len(cell) <= width else f"…{cell[1 - width :]}"


def _wrapped(paragraph: str) -> list[str]:
    return textwrap.wrap(paragraph, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
