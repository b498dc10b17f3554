"""How every picture of the project looks: one palette, one set of rc parameters, no global state.

matplotlib is imported by the functions, so that tables and cards can be had without it.
"""

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart by the colour-blind in this order, and readable on white as on near black.
PALETTE = ("#2563a8", "#d1495b", "#2e8b57", "#c98a12", "#7b4fa3", "#00798c", "#8d6b4f", "#5f6b76")
INK, FAINT, SHADE = "#1f2933", "#d5dae0", "#f3c9c4"
FRAME, TICK, GRID = "#8894a0", "#4a5560", "#e6eaee"
DIVERGED, DIVERGED_INK, OPEN = "#f4cfca", "#96182d", "#eef1f4"  # diverged, its sign, not finished
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4)))
MAP = "viridis"  # perceptually uniform, and read alike with any colour vision; bright is always good
RANKS = (PALETTE[0], FRAME, PALETTE[3])  # from the best to the worst; lines in these read on white and on near black

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": FRAME,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": TICK,
    "ytick.color": TICK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "jaxopt_lite",
}


def ranks() -> Any:
    """A map from a place as a share, 0 for the best and 1 for the worst, to a colour."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ranks", RANKS)


def look() -> AbstractContextManager[None]:
    """A context, or a decorator, in which matplotlib draws as the project does.

    Raises:
        ModuleNotFoundError: matplotlib is not installed; says how to get it.
    """
    try:
        from matplotlib import rc_context
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "pictures need matplotlib: pip install 'jaxopt-lite[plot]'", name="matplotlib"
        ) from None
    return rc_context(RC)


def figure(
    rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 3.6, **options: Any
) -> tuple["Figure", Any]:
    """A figure of `width` × `height` inches and its axes; drawn without pyplot, hence without global state."""
    with look():
        from matplotlib.figure import Figure

        drawn = Figure(figsize=(width, height), layout="constrained")
        return drawn, drawn.subplots(rows, columns, **options)


def svg(drawn: "Figure", **options: Any) -> str:
    """The figure as an inline `<svg>` element, equal for equal data; `options` go to `Figure.savefig`."""
    out = io.StringIO()
    with look():
        drawn.savefig(out, format="svg", metadata={"Date": None}, **options)
    text = out.getvalue()
    return text[text.index("<svg") :]


def save(drawn: "Figure", path: Path) -> Path:
    """Write the figure where `path` says, in the format its suffix names."""
    with look():
        drawn.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def plain(text: str) -> str:
    """Text that matplotlib draws without interpreting dollar signs."""
    return text.replace("$", r"\$")
