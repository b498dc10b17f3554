"""Every setting as a line across the swept columns to its score."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxopt_lite import _style
from jaxopt_lite.report._numbers import NONE, setting_label
from jaxopt_lite.report._pictures._places import place_bar, place_colour
from jaxopt_lite.report._pictures._scale import scale_of
from jaxopt_lite.report._search import last_score
from jaxopt_lite.report._study import Study, in_order, spoken, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxopt_lite.sweeps import Results, Setting

MOST_AXES, MOST_LINES = 9, 300
_ABSENT = -0.12  # height of the tick of settings that do not have the number
_SPREAD = 0.1  # over which the lines through one category are spread


class _Axis(NamedTuple):
    """A vertical axis: its name, the height of a value from 0 to 1, and its ticks by height."""

    name: str
    height: Callable[[Any], float]
    ticks: dict[float, str]


def parallel(results: "Results") -> "Figure":
    """Every setting as a line across one axis for each swept column, to its score on the last axis.

    Axes of numbers are logarithmic where the numbers were drawn by `log_uniform`; names are categories. The colour of a
    line is the place of the setting at the end. The score of a setting that was stopped early is that at its last rung.
    Settings that diverged or failed are grey and dotted and end before the score. `–` marks settings that do not have
    the number.

    Args:
        results: the results of a sweep, finished or not.

    Returns:
        A matplotlib figure, with the first 8 columns that vary, and of more than 300 settings with the best 100 and 200
        of the others.

    Raises:
        ValueError: no setting has been scored, or nothing varies.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"activation": ["relu", "tanh"] * 2, "rate": [0.1, 0.2, 0.3, 0.4], "seed": [0] * 4,
        ...            "status": ["done"] * 4, "loss": [0.5, 0.4, 0.6, 0.3]}
        >>> facts = {"task": "digits", "steps": 9, "seeds": [0]}
        >>> results = sweeps.Results(columns, ("activation", "rate"), "loss", "min", facts, [{}] * 4, None)
        >>> [text.get_text() for text in report.parallel(results).axes[0].texts][:2]
        ['activation', 'relu']
    """
    return picture(study_of(results))


def picture(study: Study) -> "Figure":
    """`parallel` of prepared results."""
    scored = [(s, score) for s in study.settings if (score := last_score(study, s)) is not None]
    names = study.structure.varying[: MOST_AXES - 1]
    if not scored or not names:
        raise ValueError("there is nothing to show: no setting has been scored, or no setting varies")
    with _style.look():
        axes = [_swept_axis(study, name) for name in names]
        axes.append(_score_axis(study, [score for _, score in scored]))
        drawn, axis = _style.figure(width=max(6.4, 1.25 * len(axes) + 1.6), height=4.2)
        lost = [s for s in study.settings if s.diverged or s.failed]
        for setting in lost[: max(0, MOST_LINES - len(scored))]:
            heights = _heights(study, axes[:-1], setting)
            axis.plot(range(len(heights)), heights, color=_style.FRAME, linewidth=0.8, linestyle=":")
        for place, (setting, score) in reversed(_shown(list(enumerate(scored, 1)))):
            heights = [*_heights(study, axes[:-1], setting), axes[-1].height(score)]
            width, order = (2.8, 5) if place == 1 else (1.0, 3)
            colour = place_colour(place, len(scored))
            axis.plot(range(len(heights)), heights, color=colour, linewidth=width, zorder=order)
        _draw_axes(axis, axes)
        if len(scored) > 1:
            place_bar(drawn, axis, len(scored))
        _legend(drawn, lost)
        return drawn


def _shown(lines: list[Any]) -> list[Any]:
    """Of many lines, the best third and a part of the others, evenly over their places."""
    best, others = lines[: MOST_LINES // 3], lines[MOST_LINES // 3 :]
    most = MOST_LINES - MOST_LINES // 3
    return best + [others[i * len(others) // most] for i in range(most)] if len(others) > most else lines


def _swept_axis(study: Study, name: str) -> _Axis:
    values = in_order(study, name)
    absent = {_ABSENT: NONE} if None in study.columns[name] else {}
    if name not in study.structure.numbers:
        step = 1 / max(1, len(values) - 1)
        places = {value: i * step if len(values) > 1 else 0.5 for i, value in enumerate(values)}
        return _Axis(spoken(name), places.__getitem__, {h: setting_label(v) for v, h in places.items()} | absent)
    low, high, log, whole = study.ranges[name]
    turn: Callable[[Any], Any] = np.log if log and low > 0 else float
    begin, size = float(turn(low)), float(turn(high) - turn(low)) or 1.0

    def height(value: Any) -> float:
        return float(turn(value) - begin) / size

    marks = _decades(low, high) if log and low > 0 else _round(low, high, whole)
    label = f"{spoken(name)}\n(log)" if log else spoken(name)
    return _Axis(label, height, {height(mark): setting_label(mark) for mark in marks} | absent)


def _score_axis(study: Study, scores: list[float]) -> _Axis:
    """The axis of the score, on which the good end is always above."""
    scale = scale_of(scores, study.mode)
    low, high = min(scores), max(scores)
    ticks = _round(low, high, whole=False) if scale.way == "linear" else scale.ticks or _decades(low, high)

    def height(value: float) -> float:
        share = float(scale.norm(value))
        return share if study.mode == "max" else 1 - share

    return _Axis(spoken(study.objective), height, {height(tick): f"{tick:.3g}" for tick in ticks})


def _heights(study: Study, axes: list[_Axis], setting: "Setting") -> list[float]:
    """Where the line of a setting crosses the axes; lines through one category are spread a little, best on top."""
    spread = _SPREAD * (0.5 - study.places[setting.trials] / max(1, len(study.settings) - 1))
    heights = []
    for axis, name in zip(axes, study.structure.varying, strict=False):
        value = setting.columns[name]
        height = _ABSENT if value is None else axis.height(value)
        heights.append(height if name in study.structure.numbers and value is not None else height + spread)
    return heights


def _draw_axes(axis: Any, axes: list[_Axis]) -> None:
    axis.set_axis_off()
    axis.set(xlim=(-0.35, len(axes) - 0.55), ylim=(-0.16, 1.2))
    for x, one in enumerate(axes):
        axis.plot([x, x], [0, 1], color=_style.FRAME, linewidth=1.0, zorder=4)
        axis.text(x, 1.08, _style.plain(one.name), ha="center", va="bottom", fontsize=9, fontweight="bold")
        for height, label in one.ticks.items():
            axis.plot([x - 0.02, x], [height, height], color=_style.FRAME, linewidth=1.0, zorder=4)
            halo = {"facecolor": _style.OPEN, "alpha": 0.85, "linewidth": 0, "pad": 0.8}
            axis.text(x - 0.04, height, _style.plain(label), ha="right", va="center", fontsize=7.8, zorder=6, bbox=halo)


def _legend(drawn: "Figure", lost: list["Setting"]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=_style.PALETTE[0], linewidth=2.8, label="the best setting")]
    if fates := [fate for fate in ("diverged", "failed") if any(getattr(setting, fate) for setting in lost)]:
        label = " or ".join(fates)
        handles.append(Line2D([], [], color=_style.FRAME, linewidth=1.0, linestyle=":", label=label))
    drawn.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8.5)


def _decades(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: powers of ten, with 2 and 5 between them if there are few; else the ends."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = (1, 2, 5) if math.log10(high / low) < 2 else (1,)
    marks = [m * 10.0**e for e in exponents for m in fine if low * 0.999 <= m * 10.0**e <= high * 1.001]
    return marks if len(marks) > 1 else [low, high]


def _round(low: float, high: float, whole: bool) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    if low == high:
        return [low]
    marks = MaxNLocator(nbins=5, integer=whole).tick_values(low, high)
    size = high - low
    return [float(mark) for mark in marks if low - 0.001 * size <= mark <= high + 0.001 * size]
