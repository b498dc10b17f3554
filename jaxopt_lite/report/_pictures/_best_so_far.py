"""The best score so far against the compute spent."""

import math
from typing import TYPE_CHECKING, Any

from jaxopt_lite import _style
from jaxopt_lite._names import count
from jaxopt_lite.report._pictures._scale import scale_of, score_axis
from jaxopt_lite.report._search import Moment, moments
from jaxopt_lite.report._study import Study, spoken, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxopt_lite.sweeps import Results

MARKED = 8  # with more rounds than this they have neither points nor labels
ROOM = 0.17  # width of a label as a share of the axis


def best_so_far(results: "Results") -> "Figure":
    """The score of the setting that one would have picked, against the compute spent until then.

    Compute is the number of steps made as a share of those of all settings and seeds to their end, without the runs of
    `confirm`. With a rule that stops settings early, each point is a rung; without one, each point is a setting, in the
    order of their numbers. The setting that one would have picked is the best of those scored at the latest step with
    the most seeds. At a rung its score is that of unfinished training, so the line may fall where more seeds are added.

    Args:
        results: the results of a sweep, finished or not.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: no run has been scored, or the results do not hold scores by step.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"rate": [0.1, 0.2, 0.3], "seed": [0] * 3, "status": ["done", "done", "pruned"],
        ...            "step": [9, 9, 3], "loss": [0.5, 0.4, float("nan")]}
        >>> scores = [{3: 0.8, 9: 0.5}, {3: 0.9, 9: 0.4}, {3: 1.2}]
        >>> facts = {"task": "digits", "steps": 9, "seeds": [0]}
        >>> results = sweeps.Results(columns, ("rate",), "loss", "min", facts, [{}] * 3, None, rungs=scores)
        >>> report.best_so_far(results).axes[0].get_lines()[0].get_ydata()
        array([0.8, 0.4])
    """
    return picture(study_of(results))


def picture(study: Study) -> "Figure":
    """`best_so_far` of prepared results."""
    found = moments(study)
    if not found:
        raise ValueError("there is nothing to show: no run has been scored at a step that the results hold")
    with _style.look():
        drawn, axis = _style.figure(width=7.6, height=3.6)
        compute, scores = [100 * moment.compute for moment in found], [moment.score for moment in found]
        score_axis(axis, scale_of(scores, study.mode), margin=0.25)
        few = len(found) <= MARKED
        axis.plot(compute, scores, color=_style.PALETTE[0], marker="o" if few else None, drawstyle="steps-post")
        if few:
            _label(axis, found)
        axis.set_xlim(0, 1.04 * compute[-1])
        seeds = sum(setting.seeds for setting in study.settings)
        full = f"{count(seeds, 'run')} of {count(study.facts['steps'], 'step')}"
        axis.set_xlabel(f"compute, % of the steps of all {full}")
        better = "higher is better" if study.mode == "max" else "lower is better"
        axis.set_ylabel(_style.plain(f"{spoken(study.objective)}\nof the setting picked then ({better})"))
        axis.margins(y=0.25)
        return drawn


def _label(axis: Any, found: list[Moment]) -> None:
    """What was compared at each point, on the side of the point where there is no line."""
    labelled = -math.inf
    for nth, moment in enumerate(found):
        last = nth == len(found) - 1
        if not last and moment.compute - labelled < ROOM * found[-1].compute:
            continue
        labelled = moment.compute
        before, after = (found[nth - 1], moment) if last else (moment, found[nth + 1])
        above = (after.score > before.score) == last
        axis.annotate(
            f"step {moment.step:,}\n{count(moment.settings, 'setting')}, {count(moment.seeds, 'seed')}",
            (100 * moment.compute, moment.score),
            xytext=(-6 if last and nth else 6, 6 if above else -6),
            textcoords="offset points",
            ha="right" if last and nth else "left",
            va="bottom" if above else "top",
            fontsize=8,
            color=_style.TICK,
        )
