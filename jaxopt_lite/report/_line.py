"""Lines of a leaderboard as text: settings, scores and the comparison with the best."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from jaxopt_lite.report._numbers import NONE, brief, decimals_of, interval, setting_labels, usual_decimals
from jaxopt_lite.report._study import Study, combination, groups, has_score, score_names
from jaxopt_lite.report._verdict import Verdict

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Mean, Setting


TIED = "≈ not distinguishable from the best: the 95 % interval of the difference, paired by seed, includes 0"
FEW = 3  # with more swept numbers than this the score stands before the numbers

T = TypeVar("T")


class Line(NamedTuple):
    """A setting in words.

    Attributes:
        setting: whose line it is.
        place: 1 for the best; None without a score.
        standing: `best`, `tied` (cannot be distinguished from the best), `behind` or `unscored`.
        swept: its settings, by column.
        score: its objective with the interval, or why there is none.
        others: the means of its other scores.
        diverged: runs that diverged, of all runs of its combination, as `3/24`; `0` where none did.
    """

    setting: "Setting"
    place: int | None
    standing: str
    swept: dict[str, str]
    score: str
    others: dict[str, str]
    diverged: str


def leaders(study: Study, findings: Verdict) -> list[Line]:
    """The best setting of each combination of names, best first; every setting where there are no names."""
    kinds = study.structure.kinds
    if not kinds:
        return lines(study, findings)
    together = groups(study, kinds)
    best = lines(study, findings, [settings[0] for settings in together.values()])
    return [_for_all(study, line, together[combination(line.setting, kinds)]) for line in best]


def _for_all(study: Study, line: Line, settings: Sequence["Setting"]) -> Line:
    """The best line of a combination, with the number of diverged runs of all its settings."""
    line = line._replace(diverged=_diverged(settings))
    if line.place:
        return line
    runs, done = sum(s.seeds for s in settings), sum(s.done for s in settings)
    lost = {name: sum(getattr(s, name) for s in settings) for name in ("diverged", "failed")}
    pruned = [s.status for s in settings if s.pruned and not s.lost]
    text = ", ".join(f"{number} of {runs} {name}" for name, number in lost.items() if number)
    text = text or (f"{done} of {runs} done" if done else "waiting")
    text = pruned[0] if pruned else text  # that of the setting that came furthest
    swept = {name: NONE if name in study.structure.numbers else label for name, label in line.swept.items()}
    return line._replace(score=text, swept=swept)


def lines(study: Study, findings: Verdict, settings: Sequence["Setting"] | None = None) -> list[Line]:
    """A line for each of the settings, in their order (all of them, best first)."""
    settings = study.settings if settings is None else settings
    objective, names = study.objective, score_names(study)
    structure = study.structure
    labels = {name: setting_labels(study.columns[name]) for name in structure.varying or study.swept}
    usual = {name: usual_decimals(s.scores[name] for s in settings if has_score(s, name)) for name in names}
    tied = {s.trials for s in findings.tied}
    made = []
    for place, setting in enumerate(settings, 1):
        scored = has_score(setting, objective)
        is_best = findings.best is not None and setting.trials == findings.best.trials
        near = "tied" if setting.trials in tied else "behind" if scored else "unscored"
        line = Line(
            setting=setting,
            place=place if scored else None,
            standing="best" if is_best else near,
            swept={name: texts[setting.columns[name]] for name, texts in labels.items()},
            score=interval(setting.scores[objective], usual[objective]) if scored else setting.status,
            others={n: _mean(setting.scores[n], usual[n]) for n in names if n != objective},
            diverged=_diverged([setting]),
        )
        made.append(line)
    return made


def reason_of(study: Study, line: Line) -> str:
    """Why the setting of a line lost, in a word; "" if it did not, or its layers were not recorded."""
    reason = study.reasons.get(line.setting.trials)
    return reason.cause if reason else ""


def ordered(study: Study, swept: Sequence[T], scores: Sequence[T]) -> list[T]:
    """The swept columns and those of scores in the order of a table: with many numbers the scores stand before them."""
    structure = study.structure
    before = len(structure.kinds) if len(structure.numbers) > FEW else len(swept)
    return [*swept[:before], *scores, *swept[before:]]


def reach(scores: Sequence["Mean"]) -> tuple[float, float]:
    """The lowest and the highest end of some intervals, the frame for a picture of them."""
    wide = [m.half_width if math.isfinite(m.half_width) else 0.0 for m in scores]
    low = min(m.mean - w for m, w in zip(scores, wide, strict=True))
    high = max(m.mean + w for m, w in zip(scores, wide, strict=True))
    return low, high


def _mean(score: "Mean", usual: int | None) -> str:
    """The mean with the digits that its interval supports and that are usual in the column, but two at least."""
    supported = decimals_of(score)
    if supported is None or usual is None:
        return brief(score.mean, usual)
    first = -math.floor(math.log10(abs(score.mean))) if score.mean else 0  # decimals up to the first digit
    return brief(score.mean, max(min(supported, max(usual, first)), first + 1, 0))


def _diverged(settings: Sequence["Setting"]) -> str:
    diverged = sum(s.diverged for s in settings)
    return f"{diverged}/{sum(s.seeds for s in settings)}" if diverged else "0"
