"""Learning curves of the best setting of each combination: the mean over seeds in a band from lowest to highest."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lite import _style
from jaxopt_lite._names import count
from jaxopt_lite.report._pictures._panels import axes_for, best_first, hide_rest, omitted, panels_of
from jaxopt_lite.report._pictures._scale import WIDE
from jaxopt_lite.report._study import Study, has_score, spoken, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxopt_lite.sweeps import Results, Setting

POINTS = 40  # more are noise to the eye


def curves(results: "Results") -> "Figure":
    """Training metric against step for the best setting of each combination of names, with a panel for each optimizer.

    The line is the mean over seeds, the band goes from the lowest to the highest seed. Each point is the mean over the
    same number of steps, which the label of the axis states, and lies at their middle. Combinations without a finished
    setting are omitted, unless settings were stopped early: then, and if no setting has finished, each combination
    shows its longest runs, and the line ends where they were stopped.

    Args:
        results: the results of a sweep, finished or not. The metric is `loss`, or the first by name.

    Returns:
        A matplotlib figure, with at most 9 panels and 8 lines in each, those of the best settings.

    Raises:
        ValueError: no run has reached the first point of a curve.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"rate": [0.1, 0.2], "seed": [0, 0], "status": ["done"] * 2, "test_loss": [0.50, 0.40]}
        >>> facts = {"task": "digits", "steps": 15, "stride": 5, "seeds": [0]}
        >>> losses = [{"loss": np.array([2.0, 1.0, 0.6])}, {"loss": np.array([1.9, 0.9, 0.5])}]
        >>> results = sweeps.Results(columns, ("rate",), "test_loss", "min", facts, losses, None)
        >>> report.curves(results).axes[0].get_lines()[0].get_ydata()
        array([1.9, 0.9, 0.5])
    """
    return picture(study_of(results))


def picture(study: Study) -> "Figure":
    """`curves` of prepared results."""
    metric = metric_of(study)
    if metric is None:
        raise ValueError("there are no learning curves yet: no run has got as far as their first point")
    whole = panels_of(study)
    shown = best_first(study, whole)
    with _style.look():
        drawn, axes = axes_for(len(shown.settings))
        styles = {label: i for i, label in enumerate(shown.colours)}
        drawn_labels: set[str] = set()
        for axis, (panel, by) in zip(axes.flat, shown.settings.items(), strict=False):
            axis.set_title(_style.plain(panel))
            for label, settings in by.items():
                if _draw(axis, study, metric, settings, styles[label]):
                    drawn_labels.add(label)
        hide_rest(axes, len(shown.settings))
        _finish(drawn, axes, study, metric)
        _legend(
            drawn,
            {label: i for label, i in styles.items() if label in drawn_labels},
            _legend_title(study, shown.rest) + omitted(whole, shown),
        )
        return drawn


def metric_of(study: Study) -> str | None:
    """The metric whose curves are drawn: the loss, or the first there is; None where no run has any."""
    names = {name for curve in study.curves for name, points in curve.items() if np.isfinite(points).any()}
    return "loss" if "loss" in names else min(names, default=None)


def band(study: Study, setting: "Setting", metric: str) -> tuple[np.ndarray, ...]:
    """Step, mean over seeds, lowest and highest seed, at each point that all seeds of the setting reached.

    Shapes: all (points,). A point is the mean over `stretch(study)` steps, and its step is their middle; the last
    may be shorter. Diverged runs end where they diverged.
    """
    stride, steps = study.facts["stride"], study.facts["steps"]
    curves_of_seeds = [study.curves[i][metric] for i in setting.trials if metric in study.curves[i]]
    if not curves_of_seeds:
        return (np.empty(0),) * 4
    fine = np.minimum(np.arange(len(curves_of_seeds[0]) + 1) * stride, steps)
    firsts = np.arange(0, len(curves_of_seeds[0]), stretch(study) // stride)
    ends = np.append(fine[firsts[1:]], steps)
    sums = np.add.reduceat(np.array(curves_of_seeds, np.float64) * np.diff(fine), firsts, axis=1)
    points = sums / (ends - fine[firsts])
    reached = np.isfinite(points).all(axis=0)
    points = points[:, reached]
    middles = (fine[firsts] + ends)[reached] / 2
    return middles, points.mean(axis=0), points.min(axis=0), points.max(axis=0)


def stretch(study: Study) -> int:
    """Steps a drawn point is the mean over: whole strides, so many that a curve has at most `POINTS` points."""
    stride, steps = study.facts["stride"], study.facts["steps"]
    return stride * max(1, -(-steps // (stride * POINTS)))


def _draw(axis: Any, study: Study, metric: str, settings: list["Setting"], style: int) -> bool:
    """Draw the best setting; says whether it has a point to draw."""
    best = settings[0]
    if not has_score(best, study.objective):
        if has_score(study.settings[0], study.objective) and not best.pruned:
            return False
        best = max(settings, key=lambda s: len(band(study, s, metric)[0]))
    step, mean, low, high = band(study, best, metric)
    if not step.size:
        return False
    colour = _style.PALETTE[style % len(_style.PALETTE)]
    axis.fill_between(step, low, high, color=colour, alpha=0.18, linewidth=0)
    axis.plot(step, mean, color=colour, linestyle=_style.DASHES[style % len(_style.DASHES)], linewidth=1.5)
    return True


def _finish(drawn: "Figure", axes: Any, study: Study, metric: str) -> None:
    lines = [line.get_ydata() for axis in axes.flat for line in axis.get_lines()]
    values = np.concatenate(lines) if lines else np.ones(1)
    if values.min() > 0 and values.max() / values.min() > WIDE:
        axes[0, 0].set_yscale("log")
    axes[0, 0].set_xlim(0, study.facts["steps"])
    scale = ", log" if axes[0, 0].get_yscale() == "log" else ""
    what = "training loss" if metric == "loss" else spoken(metric)
    drawn.supxlabel("step", fontsize=9.5)
    drawn.supylabel(_style.plain(f"{what} (mean over {count(stretch(study), 'step')}{scale})"), fontsize=9.5)


def _legend_title(study: Study, rest: tuple[str, ...]) -> str:
    seeds, stopped = len(study.facts["seeds"]), "pruned" in study.columns["status"]
    what = ", ".join(map(spoken, rest))
    mean = "mean of the seeds trained" if stopped else f"mean of {seeds} seeds"
    shown = f"{mean}, band from lowest to highest" if seeds > 1 else "one seed"
    return f"{what}: {shown}" if what else shown


def _legend(drawn: "Figure", labels: dict[str, int], title: str) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D(
            [], [], color=_style.PALETTE[i], linestyle=_style.DASHES[i % len(_style.DASHES)], label=_style.plain(label)
        )
        for label, i in labels.items()
    ]
    drawn.legend(
        handles=[h for h in handles if h.get_label()],
        loc="outside upper center",
        ncols=min(5, len(handles)),
        title=_style.plain(title),
        fontsize=8.5,
    )
