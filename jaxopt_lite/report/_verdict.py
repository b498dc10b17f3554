"""The question of a sweep, its answer and the uncertainty of the answer, in sentences."""

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

from jaxopt_lite._names import count
from jaxopt_lite.report._numbers import brief, interval, setting_label, usual_decimals, varies
from jaxopt_lite.report._study import ENDED, Study, groups, has_score, in_order, is_drawn, spoken

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Setting


_NO_DATA = hashlib.sha256().hexdigest()  # the digest that a store keeps of the data of a task without data
UNSEEN = "of the selected setting; it was selected without the test part"
_PAIRED = " (the 95 % interval of the difference, paired by seed, includes 0)"


class Verdict(NamedTuple):
    """The findings of a sweep.

    Attributes:
        question: what was compared, on what, for how long.
        answer: the best setting and its score.
        cautions: limits of the answer.
        best: the best finished setting, None where nothing has finished.
        tied: other settings that cannot be distinguished from the best: the 95 % interval of the difference, paired by
            seed, includes 0.
        progress: how many runs are done, diverged or still to do.
        tested: the test score of the best setting, where a validation score has selected it; else empty.
        confirmed: the scores of the best setting with seeds that took no part in its selection; empty without them.
    """

    question: str
    answer: str
    cautions: list[str]
    best: "Setting | None"
    tied: list["Setting"]
    progress: str
    tested: str = ""
    confirmed: str = ""


def verdict(study: Study) -> Verdict:
    """The findings of a study, finished or not."""
    finished = [s for s in study.settings if has_score(s, study.objective)]
    best = finished[0] if finished else None
    tested = _tested(study, best)
    confirmed = _confirmed(study, best)
    cautions = [*_open(study), *_ties(study, best), *_overtaken(study, best), *_edges(study)]
    cautions += [*_stopped(study, best), *_changed(study, best), *_selection(study, best, tested)]
    answer = _answer(study, best, finished) + (f" {confirmed[0].upper()}{confirmed[1:]}." if confirmed else "")
    answer += f" {tested[0].upper()}{tested[1:]} {UNSEEN}." if tested else ""
    return Verdict(_question(study), answer, cautions, best, study.tied, progress(study), tested, confirmed)


def progress(study: Study) -> str:
    """`480 runs, 3 diverged`, or how many of them are done."""
    status = study.columns["status"]
    ended = sum(s in ENDED for s in status)
    runs = count(len(status), "run")
    text = runs if ended == len(status) else f"unfinished: {ended:,} of {runs} ended"
    counts = {name: status.count(name) for name in ("diverged", "failed", "pruned")}
    return ", ".join([text, *(f"{number:,} {name}" for name, number in counts.items() if number)])


def named(setting: "Setting", columns: tuple[str, ...]) -> str:
    """`tanh, momentum, learning rate 0.268`: names as they are, numbers with their column."""
    parts = []
    for name in columns:
        value = setting.columns[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            parts.append(f"{spoken(name)} {setting_label(value)}")
        elif value is not None:
            parts.append(str(value))
    return ", ".join(parts) or "the only setting"


def _question(study: Study) -> str:
    where = f"{spoken(study.objective)} on {study.facts.get('task', 'a task')}"
    where += f" after {count(study.facts.get('steps', 0), 'step')}"
    names = study.structure.varying
    if not names:
        return f"How well one setting does: {where}."
    sizes = [len({*study.columns[name]}) for name in names]
    whole_grid = math.prod(sizes) == len(study.settings)
    extents = [_extent(study, name, counted=whole_grid) for name in names]
    what = " × ".join(extents) if whole_grid else f"{len(study.settings):,} settings ({', '.join(extents)})"
    return f"Which of {what} gives the {'highest' if study.mode == 'max' else 'lowest'} {where}?"


def _extent(study: Study, name: str, counted: bool) -> str:
    values = in_order(study, name)
    noun = count(len(values), spoken(name)) if counted or name in study.structure.kinds else spoken(name)
    if name in study.structure.numbers:
        ends = " to ".join(dict.fromkeys(map(setting_label, (values[0], values[-1]))))
        return f"{noun} ({ends})" if counted else f"{noun} {ends}"
    return noun


def _answer(study: Study, best: "Setting | None", finished: list["Setting"]) -> str:
    if best is None:
        status = study.columns["status"]
        if status and all(s == "diverged" for s in status):
            reason = f"its loss, or its {spoken(study.objective)} at the end, became NaN or infinite"
            advice = " If the loss did, try smaller learning rates first." if "learning_rate" in study.swept else ""
            return f"Every run diverged ({reason}): no setting can be recommended.{advice}"
        if status and all(s == "failed" for s in status):
            return "Every run failed: the table of failed runs has the errors."
        if all(s in ENDED for s in status):
            return "No setting finished with all its seeds, so none can be recommended."
        return "Nothing has finished yet."
    score = best.scores[study.objective]
    usual = usual_decimals(s.scores[study.objective] for s in finished)
    seeds = f"mean and 95 % interval over {count(best.seeds, 'seed')}" if best.seeds > 1 else "one seed, no interval"
    value = f"{spoken(study.objective)} {interval(score, usual)} ({seeds})"
    return f"{named(best, study.structure.varying or study.swept)}: {value}."


def _confirmed(study: Study, best: "Setting | None") -> str:
    """The best setting's scores on seeds that took no part in its selection, if there are any."""
    if best is None:
        return ""
    names = [name for name in (study.objective, _tested_name(study)) if name in best.confirmed]
    means = [f"{spoken(n)} {interval(m, None)}" for n in names if math.isfinite((m := best.confirmed[n]).mean)]
    seeds = count(best.confirming, "further seed")
    return f"with {seeds}, which took no part in the selection: {', '.join(means)}" if means else ""


def _overtaken(study: Study, best: "Setting | None") -> list[str]:
    """Whether another setting does better with the seeds that took no part in the selection."""
    name, sign = study.objective, 1 if study.mode == "max" else -1
    known = [s for s in study.settings if name in s.confirmed and math.isfinite(s.confirmed[name].mean)]
    if best is None or best not in known:
        return []
    top = max(known, key=lambda s: sign * s.confirmed[name].mean)
    if sign * top.confirmed[name].mean <= sign * best.confirmed[name].mean:
        return []
    usual = usual_decimals(s.confirmed[name] for s in known)
    first, second = (interval(s.confirmed[name], usual) for s in (top, best))
    return [
        f"With the further seeds {named(top, study.structure.varying)} does better, {first} against {second}: "
        "the selection may have been chance."
    ]


def _changed(study: Study, best: "Setting | None") -> list[str]:
    """A member of a population was not trained with its settings alone."""
    if best is None or not study.population:
        return []
    return [
        "Settings changed during training, and those at the end are shown: training with them from the start gives "
        "another score."
    ]


def _stopped(study: Study, best: "Setting | None") -> list[str]:
    """How many settings could not win because they were stopped."""
    stopped = sum(bool(s.pruned) and not s.lost for s in study.settings)
    if best is None or not stopped:
        return []
    return [
        f"{stopped:,} of {count(len(study.settings), 'setting')} were stopped early by their score until then: "
        "one that learns late may be among them."
    ]


def _tested(study: Study, best: "Setting | None") -> str:
    """The best setting's score on the test part, if the objective is the same score on the validation part."""
    name = _tested_name(study)
    if best is None or not has_score(best, name):
        return ""
    usual = usual_decimals(s.scores[name] for s in study.settings if has_score(s, name))
    return f"{spoken(name)} {interval(best.scores[name], usual)}"


def _tested_name(study: Study) -> str:
    """The name of the test score that belongs to a validation score; empty for another objective."""
    part, _, score = study.objective.partition("_")
    return f"test_{score}" if part == "validation" else ""


def _open(study: Study) -> list[str]:
    status = study.columns["status"]
    remaining = sum(s not in ENDED for s in status)
    return [f"Not final: {remaining:,} of {count(len(status), 'run')} are still to do."] if remaining else []


def _ties(study: Study, best: "Setting | None") -> list[str]:
    """Which settings cannot be distinguished from the best, by differences paired by seed."""
    tied, rest = study.tied, sum(has_score(s, study.objective) for s in study.settings) - 1
    if best is None or rest < 1:
        return []
    if best.seeds == 1:
        return ["One seed gives no interval: if the score depends on the seed, small differences may be due to chance."]
    if not tied:
        others = "the other finished setting" if rest == 1 else f"each of the {rest:,} other finished settings"
        each = "" if rest == 1 else ", without correction for the number of comparisons"
        return [f"Better than {others}: the 95 % interval of the difference, paired by seed, excludes 0{each}."]
    kinds = study.structure.kinds
    if kinds:  # a combination counts by its best setting, as in the table
        firsts: dict[str, Setting] = {}
        for setting in study.settings:
            firsts.setdefault(named(setting, kinds), setting)
        tied = [setting for setting in tied if firsts[named(setting, kinds)].trials == setting.trials] or tied
    seeds = count(best.seeds, "seed")
    usual = usual_decimals(s.scores[study.objective] for s in (best, *tied))
    rivals: dict[str, str] = {}
    for setting in tied:
        name = named(setting, kinds or study.structure.varying)
        rivals.setdefault(name, f"{name} ({brief(setting.scores[study.objective].mean, usual)})")
    if kinds:
        rivals.pop(named(best, kinds), None)
    if not rivals:
        what = f"{count(len(tied), 'other setting')} of the same combination"
        return [f"{seeds} do not distinguish it from {what}{_PAIRED}."]
    what = count(len(rivals), "other combination" if kinds else "other setting")
    return [f"{seeds} do not distinguish it from {what}{_PAIRED}: {_some(list(rivals.values()))}."]


def _edges(study: Study) -> list[str]:
    """Combinations that are best at an end of what was tried: a wider range may do better."""
    structure = study.structure
    at_end: dict[tuple[str, str], list[str]] = {}
    for settings in groups(study, structure.kinds).values():
        best = settings[0]
        for name in structure.numbers:
            tried = sorted({s.columns[name] for s in settings if s.columns[name] is not None})
            if not has_score(best, study.objective) or is_drawn(study, name) or len(tried) < 3:
                continue
            end = {tried[0]: "lowest", tried[-1]: "highest"}.get(best.columns[name])
            if end and best.columns[name]:  # nobody looks beyond a weight decay of 0
                at_end.setdefault((name, end), []).append(named(best, structure.kinds) if structure.kinds else "")
    return [
        f"At the {end} {spoken(name)} tried, and perhaps better beyond it: {_some(who)}."
        if who[0]
        else f"The best lies at the {end} {spoken(name)} tried: look beyond it."
        for (name, end), who in at_end.items()
    ]


def _selection(study: Study, best: "Setting | None", tested: str) -> list[str]:
    """The best of many settings looks better than it is, unless its score has nothing random in it."""
    scores = [s.scores[study.objective] for s in study.settings if has_score(s, study.objective)]
    sources = ["on data that the sweep did not use"] if study.facts.get("data") != _NO_DATA else []
    sources += ["with other seeds"] if any(varies(m) for m in scores) else []
    candidates = len(scores) + sum(bool(s.pruned) and not s.lost for s in study.settings)
    if best is None or candidates < 10 or not sources:
        return []
    chosen = f"Selected as the best of {count(candidates, 'setting')} by"
    if tested:
        objective = spoken(study.objective)
        return [f"{chosen} {objective}, which makes its {objective} optimistic; its test score is not affected."]
    return [f"{chosen} the score shown here, which makes it optimistic: measure it again {' and '.join(sources)}."]


def _some(names: list[str], most: int = 4) -> str:
    return "; ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
