"""How every picture of the project looks: one palette, one set of rc parameters, no global state."""

import io
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

PALETTE = ("#2563a8", "#d1495b", "#2e8b57", "#c98a12", "#7b4fa3", "#00798c", "#8d6b4f", "#5f6b76")
INK, FAINT, SHADE = "#1f2933", "#d5dae0", "#f3c9c4"

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#8894a0",
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6eaee",
    "grid.linewidth": 0.7,
    "xtick.color": "#4a5560",
    "ytick.color": "#4a5560",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "jaxopt_lite",
}


def figure(rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 3.6, **options: Any) -> tuple[Figure, Any]:
    """A figure of `width` × `height` inches and its axes; drawn without pyplot, hence without global state."""
    with rc_context(RC):
        drawn = Figure(figsize=(width, height), layout="constrained")
        return drawn, drawn.subplots(rows, columns, **options)


def svg(drawn: Figure) -> str:
    """The figure as an inline `<svg>` element, equal for equal data."""
    out = io.StringIO()
    with rc_context(RC):
        drawn.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def save(drawn: Figure, path: Path) -> Path:
    """Write the figure where `path` says, in the format its suffix names."""
    with rc_context(RC):
        drawn.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path
