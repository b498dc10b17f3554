"""How a sweep searched: who was alive at each rung, and what was known after how much compute."""

import math
from typing import TYPE_CHECKING, NamedTuple

from jaxopt_lite.report._study import Study, has_score, is_drawn

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Mean, Setting


class Rung(NamedTuple):
    """A step at which settings were compared.

    Attributes:
        step: the step.
        settings: the settings that were scored there, best first.
        stopped: how many of them were stopped there.
        seeds: the smallest and the largest number of seeds with which they were scored.
        place: the place that the setting which is best at the end had there; None if it was not scored there.
    """

    step: int
    settings: list["Setting"]
    stopped: int
    seeds: tuple[int, int]
    place: int | None

    @property
    def best(self) -> "Mean":
        """The best score at the rung."""
        return self.settings[0].rungs[self.step]


class Moment(NamedTuple):
    """What was known at a moment of a sweep.

    Attributes:
        compute: the steps made until then, as a share of those of all settings and seeds to their end.
        score: the objective, then, of the setting that one would have picked: among those scored at the latest step
            with the most seeds, the best.
        step: that step.
        seeds: that number of seeds.
        settings: how many settings had been scored there.
    """

    compute: float
    score: float
    step: int
    seeds: int
    settings: int


def searched(study: Study) -> bool:
    """Whether settings were drawn or stopped early, rather than a grid trained to the end."""
    drawn = any(is_drawn(study, name) for name in study.structure.numbers)
    return drawn or study.population or stopped_early(study) or study.facts.get("search", "None") != "None"


def stopped_early(study: Study) -> bool:
    """Whether a rule stopped some runs."""
    return "pruned" in study.columns["status"]


def rungs_of(study: Study) -> list[Rung]:
    """The steps at which settings were compared, in increasing order."""
    winner = study.settings[0] if study.settings else None
    found = []
    for step in sorted({step for setting in study.settings for step in setting.rungs}):
        there = [s for s in study.settings if step in s.rungs and math.isfinite(s.rungs[step].mean)]
        there.sort(key=lambda s: (cost(study, s.rungs[step].mean), study.places[s.trials]))
        if not there:
            continue
        seeds = [sum(step in study.rungs[row] for row in s.trials) for s in there]
        stopped = sum(stopped_at(s) == step for s in there)
        place = there.index(winner) + 1 if winner in there else None
        found.append(Rung(step, there, stopped, (min(seeds), max(seeds)), place))
    return found


def stopped_at(setting: "Setting") -> int | None:
    """The rung at which a setting was stopped; None if it was not, or has not been scored."""
    return max(setting.rungs, default=None) if setting.pruned and not setting.lost else None


def last_score(study: Study, setting: "Setting") -> float | None:
    """The mean objective of a setting at the end, or at the last rung of one that was stopped; None for the others."""
    if has_score(setting, study.objective):
        return setting.scores[study.objective].mean
    step = stopped_at(setting)
    mean = setting.rungs[step].mean if step is not None else math.nan
    return mean if math.isfinite(mean) else None


def cost(study: Study, score: float) -> float:
    """A score, turned so that small is good."""
    return -score if study.mode == "max" else score


def compute_of(study: Study) -> float:
    """The steps made, as a share of those of all settings and seeds to their end; runs that confirm are not counted."""
    made = sum(study.columns["step"][row] for setting in study.settings for row in setting.trials)
    return made / _full(study)


def moments(study: Study) -> list[Moment]:
    """What was known after each round: a round is a rung, or a setting where there are none."""
    if not any(study.rungs):
        return []
    by_rung = stopped_early(study) or study.population
    rounds: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
    for trial, setting in enumerate(sorted(study.settings, key=lambda setting: setting.trials)):
        for row in setting.trials:
            for key, step, made in _events(study, row):
                rounds.setdefault(key if by_rung else (trial,), []).append((row, step, made))
    owner = {row: s.trials for s in study.settings for row in s.trials}
    scores: dict[tuple[tuple[int, ...], int], list[float]] = {}
    levels: dict[tuple[int, int], tuple[float, int]] = {}  # by step and seeds: the least cost, and how many settings
    made, found, whole = 0, [], _full(study)
    for _, events in sorted(rounds.items()):
        made += sum(steps for *_, steps in events)
        reached = [(owner[row], step, study.rungs[row][step]) for row, step, _ in events if step]
        for trials, step, score in reached:
            scores.setdefault((trials, step), []).append(score)
        for trials, step in dict.fromkeys(where[:2] for where in reached):
            known = scores[trials, step]
            if all(map(math.isfinite, known)):
                least, settings = levels.get((step, len(known)), (math.inf, 0))
                levels[step, len(known)] = min(least, cost(study, sum(known) / len(known))), settings + 1
        if levels:
            step, seeds = max(levels)
            least, settings = levels[step, seeds]
            found.append(Moment(made / whole, cost(study, least), step, seeds, settings))
    return found


def _events(study: Study, row: int) -> list[tuple[tuple[int, ...], int, int]]:
    """For each round in which a run took part: the round, the rung that it reached or 0, and the steps that it made."""
    reached = sorted(study.rungs[row])
    race = "race=True" in study.facts.get("stop", "")  # the other seeds begin when the rungs of the first are over
    later = int(race and study.columns["seed"][row] != study.facts["seeds"][0])
    batch = study.batches[row]
    out = [
        ((batch, later, step if study.population else nth), step, step - before)
        for nth, (before, step) in enumerate(zip([0, *reached], reached, strict=False))
    ]
    rest = study.columns["step"][row] - reached[-1] if reached else study.columns["step"][row]
    return out + [((batch, later, len(reached)), 0, rest)] * (rest > 0)


def _full(study: Study) -> int:
    return sum(setting.seeds for setting in study.settings) * study.facts["steps"] or 1
