"""The objective against one swept number, as points with intervals."""

import math
from typing import TYPE_CHECKING, Any

from jaxopt_lite import _style
from jaxopt_lite.report._pictures._panels import axes_for, best_first, having, hide_rest, omitted, panels_of
from jaxopt_lite.report._pictures._scale import WIDE, axis_scale, scale_of, score_axis
from jaxopt_lite.report._search import last_score, stopped_early
from jaxopt_lite.report._study import Study, has_score, is_drawn, spoken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxopt_lite.sweeps import Setting


MANY = 2000  # with more points than this they are drawn as an image, since each would be an element of the page


def strip(study: Study, number: str) -> "Figure":
    """The objective of every setting against one swept number: mean and 95 % interval over seeds.

    A panel for each optimizer, a colour and a marker for each activation (or whatever names were swept). A setting
    with diverged or failed seeds is a `✕` at the worse edge of its panel, one that was stopped early a hollow sign at
    the score of its last rung. Listed numbers are joined by lines.
    """
    whole = having(panels_of(study), number)
    kept = best_first(study, whole)
    with _style.look():
        drawn, axes = axes_for(len(kept.settings))
        styles = {label: i for i, label in enumerate(kept.colours)}
        for axis, (panel, by) in zip(axes.flat, kept.settings.items(), strict=False):
            axis.set_title(_style.plain(panel))
            for label, settings in by.items():
                _draw(axis, study, number, settings, styles[label])
        hide_rest(axes, len(kept.settings))
        _scales(axes, study, number)
        for axis, by in zip(axes.flat, kept.settings.values(), strict=False):
            for label, settings in by.items():
                _draw_stopped(axis, study, number, settings, styles[label])
                _draw_lost(axis, study, number, settings, styles[label])
        drawn.supxlabel(
            _style.plain(f"{spoken(number)}{' (log)' if axes[0, 0].get_xscale() == 'log' else ''}"), fontsize=9.5
        )
        better = "higher is better" if study.mode == "max" else "lower is better"
        seeds = len(study.facts["seeds"])
        shown = f"\nmean and 95 % interval, {seeds} seeds" if seeds > 1 else ""
        drawn.supylabel(
            _style.plain(f"{spoken(study.objective)} ({better}){shown}"), fontsize=9, multialignment="center"
        )
        title = ", ".join(map(spoken, kept.rest)) + omitted(whole, kept)
        _legend(drawn, kept.colours, title, study)
        return drawn


def _draw(axis: Any, study: Study, number: str, settings: list["Setting"], style: int) -> None:
    scored = [s for s in settings if has_score(s, study.objective) and s.columns[number] is not None]
    scored.sort(key=lambda s: s.columns[number])
    if not scored:
        return
    x = [s.columns[number] for s in scored]
    means = [s.scores[study.objective] for s in scored]
    wide = [m.half_width if math.isfinite(m.half_width) else 0.0 for m in means]
    colour = _style.PALETTE[style % len(_style.PALETTE)]
    listed = not is_drawn(study, number) and len(set(x)) == len(x)
    axis.errorbar(
        x,
        [m.mean for m in means],
        yerr=wide,
        color=colour,
        marker=_style.MARKERS[style % len(_style.MARKERS)],
        markersize=4.5,
        linestyle="-" if listed else "none",
        linewidth=1.3,
        elinewidth=0.8,
        alpha=0.9,
        rasterized=len(x) > MANY,
    )


def _draw_stopped(axis: Any, study: Study, number: str, settings: list["Setting"], style: int) -> None:
    """Settings that were stopped early, hollow, at the score of their last rung."""
    stopped = [s for s in settings if s.pruned and s.columns[number] is not None and last_score(study, s) is not None]
    if stopped:
        axis.plot(
            [s.columns[number] for s in stopped],
            [last_score(study, s) for s in stopped],
            linestyle="none",
            marker=_style.MARKERS[style % len(_style.MARKERS)],
            markerfacecolor="none",
            color=_style.PALETTE[style % len(_style.PALETTE)],
            markersize=4.5,
            markeredgewidth=0.9,
            rasterized=len(stopped) > MANY,
        )


def _draw_lost(axis: Any, study: Study, number: str, settings: list["Setting"], style: int) -> None:
    """Settings with diverged or failed seeds, at the worse edge."""
    lost = [s.columns[number] for s in settings if (s.diverged or s.failed) and s.columns[number] is not None]
    if lost:
        axis.plot(
            lost,
            [0.03 if study.mode == "max" else 0.97] * len(lost),
            transform=axis.get_xaxis_transform(),
            linestyle="none",
            marker="x",
            color=_style.PALETTE[style % len(_style.PALETTE)],
            markersize=6,
            clip_on=False,
            rasterized=len(lost) > MANY,
        )


def _scales(axes: Any, study: Study, number: str) -> None:
    axes[0, 0].set_xscale(axis_scale(study, number))
    if stopped_early(study):
        ended = [score for s in study.settings if (score := last_score(study, s)) is not None]
        return score_axis(axes[0, 0], scale_of(ended, study.mode)) if ended else None
    scores = [s.scores[study.objective].mean for s in study.settings if has_score(s, study.objective)]
    if scores and min(scores) > 0 and max(scores) / min(scores) > WIDE:
        axes[0, 0].set_yscale("log")


def _legend(drawn: "Figure", labels: list[str], title: str, study: Study) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=_style.PALETTE[i], marker=_style.MARKERS[i], linestyle="none", label=_style.plain(label))
        for i, label in enumerate(labels)
        if label
    ]
    if stopped_early(study):
        hollow: dict[str, Any] = {"marker": "o", "markerfacecolor": "none", "linestyle": "none"}
        handles.append(Line2D([], [], color=_style.TICK, label="stopped early: score at its last rung", **hollow))
    if lost := [status for status in ("diverged", "failed") if status in study.columns["status"]]:
        label = f"seeds {' or '.join(lost)}"
        handles.append(Line2D([], [], color=_style.TICK, marker="x", linestyle="none", label=label))
    if not handles:
        return
    drawn.legend(
        handles=handles, loc="outside upper center", ncols=min(5, len(handles)), title=_style.plain(title), fontsize=8.5
    )
