"""The scores of settings at the rungs of a sweep: who was alive, and who was stopped."""

import itertools
from typing import TYPE_CHECKING, Any

from jaxopt_lite import _style
from jaxopt_lite._names import count
from jaxopt_lite.report._pictures._places import place_bar, place_colour
from jaxopt_lite.report._pictures._scale import scale_of, score_axis
from jaxopt_lite.report._search import rungs_of, stopped_at, stopped_early
from jaxopt_lite.report._study import Study, has_score, spoken, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxopt_lite.sweeps import Results, Setting

STOPPED, DONE = "_", "o"  # markers at the end of a line


def rungs(results: "Results") -> "Figure":
    """The objective of every setting at each step where settings were compared, as a line from rung to rung.

    The colour of a line is the place of the setting at the end. A line that ends in a dash was stopped there, one that
    ends in a dot went to the last step with all seeds. Scores are means over the seeds that were scored at the rung.
    Settings that diverged or failed before their first rung are not drawn; the legend counts them.

    Args:
        results: the results of a sweep with `stop`, finished or not.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: settings were compared at fewer than two steps.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"rate": [0.1, 0.2, 0.3], "seed": [0] * 3, "status": ["done", "done", "pruned"],
        ...            "step": [9, 9, 3], "loss": [0.5, 0.4, float("nan")]}
        >>> scores = [{3: 0.8, 9: 0.5}, {3: 0.9, 9: 0.4}, {3: 1.2}]
        >>> facts = {"task": "digits", "steps": 9, "seeds": [0]}
        >>> results = sweeps.Results(columns, ("rate",), "loss", "min", facts, [{}] * 3, None, rungs=scores)
        >>> report.rungs(results).axes[0].get_xlabel()
        'step'
    """
    return picture(study_of(results))


def picture(study: Study) -> "Figure":
    """`rungs` of prepared results."""
    found = rungs_of(study)
    if len(found) < 2:
        raise ValueError("there is nothing to show: settings were compared at fewer than two steps")
    with _style.look():
        drawn, axis = _style.figure(width=7.6, height=4.2)
        score_axis(axis, scale_of([s.rungs[rung.step].mean for rung in found for s in rung.settings], study.mode))
        places = {s.trials: place for place, s in enumerate(_ranked(study), 1)}
        for setting in reversed(_ranked(study)):
            _draw(axis, study, setting, len(places), places[setting.trials])
        _step_axis(axis, [rung.step for rung in found])
        better = "higher is better" if study.mode == "max" else "lower is better"
        axis.set_ylabel(_style.plain(f"{spoken(study.objective)} at the {study.comparison}\n({better})"))
        _legend(drawn, study)
        place_bar(drawn, axis, len(places))
        return drawn


def _ranked(study: Study) -> list["Setting"]:
    """The settings that have been scored at a rung, in the order of their places at the end."""
    return [setting for setting in study.settings if setting.rungs]


def _draw(axis: Any, study: Study, setting: "Setting", places: int, place: int) -> None:
    steps, means = _path(study, setting)
    colour, best = place_colour(place, places), place == 1
    width, order = (2.8, 4) if best else (1.0, 2)
    axis.plot(steps, means, color=colour, linewidth=width, zorder=order)
    done = has_score(setting, study.objective)
    if not done and stopped_at(setting) is None:
        return
    style = {"marker": DONE, "markersize": 6 if best else 4.5} if done else {"marker": STOPPED, "markersize": 9}
    axis.plot(steps[-1:], means[-1:], color=colour, linestyle="none", zorder=order + 1, **style)


def _path(study: Study, setting: "Setting") -> tuple[list[int], list[float]]:
    """Steps and scores of a line; that of a member of a population jumps to the score of the one that it copied."""
    copied = {
        one.step: study.rungs[one.source].get(one.step)
        for row in setting.trials
        for one in (study.generations[row] if study.population else ())
        if one.source != row
    }
    points: list[tuple[int, float]] = []
    for step, mean in setting.rungs.items():
        points.append((step, mean.mean))
        source = copied.get(step)
        if source is not None:
            points.append((step, source))
    return [step for step, _ in points], [score for _, score in points]


def _step_axis(axis: Any, steps: list[int]) -> None:
    """The steps of the rungs, on a logarithmic axis if they grow by factors rather than by differences."""
    pairs = list(itertools.pairwise(steps))
    factors, spans = [b / a for a, b in pairs], [b - a for a, b in pairs]
    if max(factors) / min(factors) < max(spans) / min(spans):
        axis.set_xscale("log")
    axis.set_xlabel("step (log)" if axis.get_xscale() == "log" else "step")
    axis.set_xticks(steps, [f"{step:,}" for step in steps])
    axis.minorticks_off()


def _legend(drawn: "Figure", study: Study) -> None:
    from matplotlib.lines import Line2D

    best = study.settings[0]
    handles = []
    if has_score(best, study.objective):
        handles.append(Line2D([], [], color=_style.PALETTE[0], linewidth=2.8, marker=DONE, label="the best at the end"))
    if any(has_score(setting, study.objective) for setting in study.settings):
        label = "trained to the end with all seeds"
        handles.append(Line2D([], [], color=_style.TICK, marker=DONE, linewidth=0.9, label=label))
    if stopped_early(study):
        handles.append(
            Line2D([], [], color=_style.TICK, marker=STOPPED, markersize=9, linestyle="none", label="stopped")
        )
    for fate in ("diverged", "failed"):
        unseen = sum(bool(getattr(setting, fate)) and not setting.rungs for setting in study.settings)
        if unseen:
            label = f"not drawn: {count(unseen, 'setting')} {fate} before their first rung"
            handles.append(Line2D([], [], linestyle="none", label=label))
    drawn.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=8.5)
