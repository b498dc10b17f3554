"""From a score to a colour, so that differences show where they matter: among the good ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite import _style
from jaxopt_lite.report._study import Study

WIDE = 20.0  # a ratio of the largest to the smallest beyond which a scale is logarithmic
_TICKS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)


class Scale(NamedTuple):
    """Colours for the scores of one sweep; bright is good.

    Attributes:
        norm: matplotlib's map from scores to [0, 1].
        colours: matplotlib's map from [0, 1] to colours.
        ticks: where the colour bar has labels, None for matplotlib's choice.
        way: how the scale runs, in words: linear, logarithmic, or logarithmic in 1 − score.
        functions: for a scale in 1 − score, the function of the score that is linear in colour, and its inverse.
    """

    norm: Any
    colours: Any
    ticks: list[float] | None
    way: str
    functions: tuple[Any, Any] | None = None

    def colour(self, value: float) -> Any:
        """Red, green, blue and opacity."""
        return self.colours(float(self.norm(value)))


def scale_of(values: Sequence[float], mode: str) -> Scale:
    """The scale for some finite scores: shares such as an accuracy by the logarithm of what they lack of 1."""
    import matplotlib
    from matplotlib import colors

    low, high = min(values), max(values)
    colours = matplotlib.colormaps[_style.MAP if mode == "max" else f"{_style.MAP}_r"]
    if low == high:
        return Scale(colors.Normalize(low - 0.5, high + 0.5), colours, [low], "linear")
    if mode == "max" and low >= 0 and high <= 1 and (1 - low) > 3 * (1 - high):
        least = max((1 - high) / 2, 1e-4)
        functions = (lambda v: -np.log(np.maximum(1 - v, 0) + least)), (lambda u: 1 + least - np.exp(-u))
        norm = colors.FuncNorm(functions, low, high)
        return Scale(norm, colours, _spread([low, *_TICKS, high], norm), "logarithmic in 1 − score", functions)
    if mode == "min" and low > 0 and high / low > WIDE:
        return Scale(colors.LogNorm(low, high), colours, None, "logarithmic")
    return Scale(colors.Normalize(low, high), colours, None, "linear")


def axis_scale(study: Study, number: str) -> str:
    """The scale of an axis for a swept number, `"log"` or `"linear"`: that on which the numbers are spread evenly."""
    return "log" if study.ranges[number].log else "linear"


def score_axis(axis: Any, scale: Scale, margin: float = 0.06) -> None:
    """Let a vertical axis run as the colours do, to show differences where they matter, and end at the scores."""
    if scale.way == "logarithmic":
        axis.set_yscale("log")
    elif scale.functions is not None:
        axis.set_yscale("function", functions=scale.functions)
        axis.set_yticks(scale.ticks, [f"{tick:.3g}" for tick in scale.ticks or ()])
        axis.minorticks_off()
    if scale.way != "linear":
        axis.set_ylim(*(float(scale.norm.inverse(end)) for end in (-margin, 1 + margin)))


def ink_on(colour: Any) -> str:
    """White or near black, whichever reads better on the colour."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return "#fdfdfd" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.25 else "#0b0f14"


def _spread(ticks: Sequence[float], norm: Any) -> list[float]:
    """The ticks within the scale that do not overlap; the ends of the scale first."""
    low, high = norm.vmin, norm.vmax
    kept = [low, high]
    for tick in sorted((t for t in ticks if low < t < high), reverse=True):
        if all(abs(float(norm(tick)) - float(norm(other))) > 0.09 for other in kept):
            kept.append(tick)
    return sorted(kept)
