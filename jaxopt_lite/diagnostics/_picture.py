"""The picture of a diagnosis: for each layer the pre-activations over the activation, and the gradient by depth."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lite import _style
from jaxopt_lite.diagnostics._layer import Layer
from jaxopt_lite.diagnostics._rules import HINTS, RULES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, MOST_PANELS = 4, 8


def drawn(diagnosis: Any, path: Path | None) -> "Figure":
    """The figure, written to `path` if there is one."""
    with _style.look():
        from matplotlib.figure import Figure

        shown = _shown(diagnosis.layers)
        columns = min(COLUMNS, max(len(shown), 1))
        rows = -(-len(shown) // columns)
        figure = Figure(figsize=(max(6.4, 2.4 * columns), 1.9 * rows + 2.9), layout="constrained")
        grid = figure.add_gridspec(rows + 1, columns, height_ratios=[*[1.0] * rows, 1.4])
        for i, layer in enumerate(shown):
            _panel(figure.add_subplot(grid[i // columns, i % columns]), layer)
        _gradients(figure.add_subplot(grid[rows, :]), diagnosis.layers)
        where = f" in {diagnosis.layer}" if diagnosis.layer else ""
        figure.suptitle(_style.plain(f"{diagnosis.verdict}{where}"), x=0.01, ha="left", weight="bold")
    if path is not None:
        _style.save(figure, path)
    return figure


def _shown(layers: tuple[Layer, ...]) -> list[Layer]:
    """The layers with an activation and a sample, which records lack; of many the ones at equal distances."""
    active = [layer for layer in layers if layer.activation and layer.finite and np.size(layer.sample.z)]
    chosen = np.unique(np.linspace(0, len(active) - 1, min(len(active), MOST_PANELS)).astype(int))
    return [active[i] for i in chosen]


def _panel(axis: Any, layer: Layer) -> None:
    """How often pre-activations occur, the activation over them, and a shade where it is flat."""
    order = np.argsort(layer.sample.z)
    z, values, slope = (array[order] for array in layer.sample)
    across = axis.get_xaxis_transform()
    flat = np.abs(slope) < 0.05 * max(np.abs(slope).max(), 1e-30)
    if flat.any():
        axis.fill_between(z, 0, 1, where=flat, transform=across, color=_style.DIVERGED, linewidth=0, zorder=0)
    heights, edges = np.histogram(z, bins=40)
    axis.stairs(0.5 * heights / heights.max(), edges, transform=across, fill=True, color=_style.PALETTE[7], alpha=0.5)
    axis.plot(z, values, color=_style.PALETTE[0])
    axis.set_title(_style.plain(f"{layer.name}: {layer.activation}"), fontsize=8.5)
    axis.tick_params(labelsize=7.5)
    axis.grid(False)


def _gradients(axis: Any, layers: tuple[Layer, ...]) -> None:
    """The gradient at each layer on a logarithmic axis, with the limits of vanishing and exploding."""
    numbers, ratios = np.arange(len(layers)), np.array([layer.ratio for layer in layers])
    positive = np.where(np.isfinite(ratios) & (ratios > 0), ratios, np.nan)
    axis.plot(numbers, positive, color=_style.PALETTE[0], marker="o", markersize=4)
    for name in ("vanishing", "exploding"):
        axis.axhline(RULES[name].limit, color=_style.PALETTE[1], linestyle=_style.DASHES[1], linewidth=1)
    troubled = [i for i, layer in enumerate(layers) if set(layer.troubles) - set(HINTS)]
    axis.plot(troubled, positive[troubled], "o", color=_style.PALETTE[1], markersize=5, label="layers with a trouble")
    axis.set_yscale("log")
    step = -(-len(layers) // 8)
    axis.set_xticks(numbers[::step], [layer.name for layer in layers[::step]], fontsize=7.5)
    axis.set_ylabel("gradient / last layer's")
    if troubled:
        axis.legend(fontsize=8)
