"""Why settings lost: what became of their layers, and how they compare with the best."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite._names import count
from jaxopt_lite.diagnostics import Diagnosis, Remedy
from jaxopt_lite.sweeps.results import _changes
from jaxopt_lite.sweeps.results._compare import resolution_of
from jaxopt_lite.sweeps.results._divergence import divergence
from jaxopt_lite.sweeps.results._setting import Setting

_FITTED = 1e-6  # with so small a loss the gradient may well be 0
_LEARNED = 0.05  # part of the loss of the first tenth of the steps that a training takes off at least
_FALLING = 0.98  # part of the loss that the last tenth of the steps leaves at most, where it still falls


class Reason(NamedTuple):
    """Why a setting lost.

    Attributes:
        setting: the setting.
        cause: "diverged"; "failed"; a trouble of `diagnostics.RULES`, such as "vanishing"; "rate" if another learning
            rate of the same combination is better, "settings" if other numbers are; "stopped" if the setting was
            stopped early without a trouble; or "behind" if its layers have no trouble.
        text: the reason in a sentence.
        step: the step from which on it holds, 0 for the start; None if it is not about a step.
        remedies: what to change, the best first.
    """

    setting: Setting
    cause: str
    text: str
    step: int | None
    remedies: tuple[Remedy, ...]

    def __str__(self) -> str:
        return self.text


class Course(NamedTuple):
    """What became of the layers of a run: its diagnoses by step, in the order of the steps."""

    diagnoses: dict[int, Diagnosis]

    @property
    def trouble(self) -> str:
        """The trouble at the last recorded step; "" if there is none."""
        return _trouble(next(reversed(self.diagnoses.values()))) if self.diagnoses else ""

    @property
    def since(self) -> int:
        """The first of the recorded steps from which on the last trouble is there."""
        since = 0
        for step, diagnosis in reversed(self.diagnoses.items()):
            if _trouble(diagnosis) != self.trouble:
                break
            since = step
        return since

    @property
    def until(self) -> int:
        """The last recorded step to which the trouble of the start lasts; 0 if it does not last."""
        first = _trouble(next(iter(self.diagnoses.values()))) if self.diagnoses else ""
        until = 0
        for step, diagnosis in self.diagnoses.items():
            if not first or _trouble(diagnosis) != first:
                break
            until = step
        return until


def reasons_of(results: Any) -> list[Reason]:
    """The reason of each setting of a table (`Results`) that has lost, in the order of `Results.settings`."""
    return Reasons(results).all()


class Reasons:
    """The reasons of a sweep. What is needed of several settings is computed once."""

    def __init__(self, results: Any) -> None:
        self._results = results
        self._settings = results.settings()
        finished = [s for s in self._settings if s.done == s.seeds]
        self._best = finished[0] if finished else None
        self._tied = {s.trials for s in results.tied()} if self._best and self._best.seeds > 1 else set()
        self._courses: dict[int, Course] = {}
        self._numbers = tuple(results.ranges)
        self._resolution = resolution_of(results.columns[results.objective])
        self._alike: dict[tuple[Any, ...], list[Setting]] = {}
        for setting in self._settings:
            self._alike.setdefault(self._kind(setting), []).append(setting)

    def all(self) -> list[Reason]:
        """The reason of each setting that has ended and is neither the best nor tied with it."""
        ended = [s for s in self._settings if s.done + s.lost + s.pruned == s.seeds and s is not self._best]
        return [self._reason(setting) for setting in ended if setting.trials not in self._tied]

    def _reason(self, setting: Setting) -> Reason:
        if setting.diverged:
            return self._diverged(setting)
        if setting.failed:
            errors = self._results.errors
            text = next((errors[row] for row in setting.trials if row in errors), "")
            return Reason(setting, "failed", f"failed{self._with(setting, setting.failed)}: {text}", None, ())
        trouble = self._troubled(setting)
        if setting.pruned:
            return self._stopped(setting, trouble)
        leader = self._alike[self._kind(setting)][0]
        if setting is not leader and self._lost(setting, leader):
            change = _changes.better_numbers(setting, leader, self._numbers, self._results.objective)
            if change is not None and trouble is not None and (trouble.step or self._of_these(change, trouble, leader)):
                remedies = (*change.remedies, *trouble.remedies)
                return trouble._replace(text=f"{trouble.text}; {change.gain}", remedies=remedies)
            if change is not None:
                return Reason(setting, change.cause, f"{change.fault}: {change.gain}", None, change.remedies)
        return trouble or self._slow(setting) or self._behind(setting)

    def _of_these(self, change: _changes.Change, trouble: Reason, leader: Setting) -> bool:
        """Whether a trouble of the start comes from numbers other than the rate, such as the depth."""
        return change.cause == "settings" and trouble.cause not in {self._course(row).trouble for row in leader.trials}

    def _diverged(self, setting: Setting) -> Reason:
        results = self._results
        row = next(i for i in setting.trials if results.columns["status"][i] == "diverged")
        diagnoses = self._course(row).diagnoses
        losses = np.asarray(results.curves[row].get("loss", ()), float)
        found = divergence(losses, int(results.facts["stride"]), int(results.columns["step"][row]), diagnoses)
        text = f"diverged at step {found.step:,}{self._with(setting, setting.diverged)}"
        first = next(iter(diagnoses.values()), None)
        if first is not None and first.verdict == "exploding" and self._best_at(0) != "exploding":
            text += f": {first.explanation}, from the start{_depth(first)}"
            return Reason(setting, "exploding", text, found.step, first.remedies)
        text += found.evidence
        lower = _changes.lower_rate(setting, self._alike[self._kind(setting)], self._numbers)
        text += f"; try clip_by_global_norm({found.threshold!r}){lower.text}"
        return Reason(setting, "diverged", text, found.step, _changes.clipped(found.threshold, lower))

    def _troubled(self, setting: Setting) -> Reason | None:
        """The trouble that most of the runs have at their last record and the best setting has not."""
        rows = [row for row in setting.trials if self._course(row).diagnoses]
        troubles = Counter(self._course(row).trouble for row in rows)
        name, number = troubles.most_common(1)[0] if troubles else ("", 0)
        if not name or name in self._of_best():
            return None
        course = next(self._course(row) for row in rows if self._course(row).trouble == name)
        diagnosis = next(reversed(course.diagnoses.values()))
        when = f", from step {course.since:,} on" if course.since else f", from the start{_depth(diagnosis)}"
        text = f"{diagnosis.explanation}{when}{self._with(setting, number)}"
        return Reason(setting, name, text, course.since, diagnosis.remedies)

    def _slow(self, setting: Setting) -> Reason | None:
        """A trouble of the start that lasted for a part of the training, longer than in the best setting."""
        course = self._course(setting.trials[0])
        longest = self._course(self._best.trials[0]).until if self._best else 0
        if course.until <= longest:
            return None
        diagnosis = next(iter(course.diagnoses.values()))
        text = f"{diagnosis.explanation}, from the start until step {course.until:,}{_depth(diagnosis)}"
        return Reason(setting, diagnosis.verdict, text, 0, diagnosis.remedies)

    def _stopped(self, setting: Setting, trouble: Reason | None) -> Reason:
        rule = str(self._results.facts.get("stop", "a rule")).partition("(")[0]
        text = f"stopped at step {setting.step:,} by {rule}"
        score = setting.rungs.get(setting.step)
        best = self._best.rungs.get(setting.step) if self._best else None
        if score is not None and best is not None:
            text += f", with {self._spoken} {score.mean:.3g} where the best had {best.mean:.3g}"
        if trouble is not None and trouble.cause != self._best_at(setting.step):
            return trouble._replace(text=f"{text}: {trouble.text}")
        return Reason(setting, "stopped", text, setting.step, ())

    def _behind(self, setting: Setting) -> Reason:
        assert self._best is not None
        gap = abs(setting.scores[self._results.objective].mean - self._best.scores[self._results.objective].mean)
        text = f"no trouble in the layers: {self._spoken} {gap:.2g} behind the best"
        return Reason(setting, "behind", f"{text}{self._unfinished(setting)}", None, ())

    def _unfinished(self, setting: Setting) -> str:
        """What the end of the loss says of the training, as the rest of a sentence."""
        points = self._results.curves[setting.trials[0]].get("loss", ())
        part = len(points) // 10
        if not part:
            return ""
        start, before, end = (float(np.mean(points[i:][:part])) for i in (0, -2 * part, -part))
        if start - end < _LEARNED * abs(start):
            return f", and the loss went from {start:.3g} to {end:.3g} only: try a higher rate"
        return ", and the loss was still falling: try more steps or a higher rate" if end < _FALLING * before else ""

    def _course(self, row: int) -> Course:
        if row not in self._courses:
            records = (self._results.records or [])[row]
            self._courses[row] = Course({step: records[step].diagnosis() for step in sorted(records)})
        return self._courses[row]

    def _best_at(self, step: int) -> str:
        """The trouble of the best setting at its last record up to a step."""
        diagnoses = self._course(self._best.trials[0]).diagnoses if self._best else {}
        known = [diagnosis for at, diagnosis in diagnoses.items() if at <= step]
        return _trouble(known[-1]) if known else ""

    def _of_best(self) -> set[str]:
        """The troubles of the best setting, which cannot be why others lost."""
        return {self._course(row).trouble for row in self._best.trials} if self._best else set()

    def _lost(self, setting: Setting, leader: Setting) -> bool:
        """Whether the leader is distinctly better; of a single seed each difference counts."""
        objective = self._results.objective
        return setting.seeds == 1 or self._results._difference(setting, leader, objective, self._resolution).distinct

    def _kind(self, setting: Setting) -> tuple[Any, ...]:
        """What is not a number of a setting: its activation, its optimizer."""
        return tuple(value for name, value in setting.columns.items() if name not in self._numbers)

    def _with(self, setting: Setting, number: int) -> str:
        return f" with {number} of {count(setting.seeds, 'seed')}" if number < setting.seeds else ""

    @property
    def _spoken(self) -> str:
        return self._results.objective.replace("_", " ")


def _trouble(diagnosis: Diagnosis) -> str:
    """The verdict, if it is a trouble."""
    fitted = diagnosis.verdict == "no gradient" and diagnosis.loss < _FITTED
    return "" if diagnosis.verdict == "healthy" or fitted else diagnosis.verdict


def _depth(diagnosis: Diagnosis) -> str:
    """`: sigmoid at depth 8`, for troubles that come from many layers."""
    active = [layer.activation for layer in diagnosis.layers if layer.activation]
    if diagnosis.verdict not in ("vanishing", "exploding", "collapsed") or not active:
        return ""
    return f": {Counter(active).most_common(1)[0][0]} at depth {len(active)}"


def checked(records: Sequence[Any] | None) -> None:
    """Check that a sweep has recorded its layers.

    Raises:
        ValueError: it has not.
    """
    if records is None:
        raise ValueError(
            "the layers of this sweep were not recorded, so why its settings lost is not known: make the task with "
            "training.supervised(..., diagnose=True) or jaxopt-lite sweep --diagnose"
        )
