"""Results prepared for reports: which swept columns hold names and which numbers, settings by combination."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxopt_lite.report._numbers import GRID

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Generation, Range, Reason, Results, Setting


class Structure(NamedTuple):
    """The swept columns by what they hold.

    Attributes:
        kinds: columns of names that differ (activation, optimizer): a combination of them is a structure.
        numbers: columns of numbers that differ, `learning_rate` first.
        fixed: columns with one value throughout, and that value.
    """

    kinds: tuple[str, ...]
    numbers: tuple[str, ...]
    fixed: dict[str, Any]

    @property
    def varying(self) -> tuple[str, ...]:
        """All columns that differ, kinds first."""
        return self.kinds + self.numbers


class Study(NamedTuple):
    """Results prepared for a report.

    Attributes:
        columns, swept, objective, mode, facts, curves: as in `Results`.
        settings: the settings, best first.
        places: the place of a setting in that order, by its trials.
        structure: the swept columns by what they hold.
        tied: the settings that cannot be distinguished from the best: the 95 % interval of the difference, paired by
            seed, includes 0 (`Results.tied`). Empty with a single seed, which gives no interval.
        modes: "min" or "max", for the scores whose direction is known.
        rungs, ranges: as in `Results`; the rungs are empty where the results have none.
        batches: for each row, the number of the batch with which its trial was added.
        generations: as in `Results`; empty where the sweep is no population.
        errors: why runs have failed, by row.
        reasons: why settings lost, by their trials; empty where the layers were not recorded.
    """

    columns: dict[str, list[Any]]
    swept: tuple[str, ...]
    objective: str
    mode: str
    facts: dict[str, Any]
    curves: list[Any]
    settings: list["Setting"]
    places: dict[tuple[int, ...], int]
    structure: Structure
    tied: list["Setting"]
    modes: dict[str, str]
    rungs: list[dict[int, float]]
    ranges: dict[str, "Range"]
    batches: list[int]
    generations: list[list["Generation"]]
    errors: dict[int, str]
    reasons: dict[tuple[int, ...], "Reason"]

    @property
    def population(self) -> bool:
        """Whether settings changed during training."""
        return bool(self.generations)

    @property
    def comparison(self) -> str:
        """What a step is called at which settings are compared."""
        return "generation" if self.population else "rung"

    @property
    def runs(self) -> int:
        """How many trials and seeds, done or not."""
        return len(self.columns["status"])


def study_of(results: "Results") -> Study:
    """Prepare some results for a report."""
    settings = results.settings()
    return Study(
        columns=results.columns,
        swept=results.swept,
        objective=results.objective,
        mode=results.mode,
        facts=results.facts,
        curves=results.curves,
        settings=settings,
        places={setting.trials: i for i, setting in enumerate(settings)},
        structure=_structure(results),
        tied=results.tied() if settings and settings[0].seeds > 1 else [],
        modes=results.modes,
        rungs=results.rungs or [{} for _ in range(len(results))],
        ranges=results.ranges,
        batches=results.batches or [0] * len(results),
        generations=generations if any(generations := results.generations or []) else [],
        errors=results.errors,
        reasons={one.setting.trials: one for one in results.reasons()} if results.records is not None else {},
    )


def _structure(results: "Results") -> Structure:
    """Sort the swept columns of a sweep into kinds, numbers and what is fixed."""
    kinds: list[str] = []
    numbers: list[str] = []
    fixed: dict[str, Any] = {}
    for name in results.swept:
        values = results.columns[name]
        if len(set(values)) <= 1:
            fixed |= {name: values[0]} if values else {}
        elif all(value is None or _is_number(value) for value in values):
            numbers.append(name)
        else:
            kinds.append(name)
    numbers.sort(key=lambda name: name.rpartition(".")[2] != "learning_rate")
    return Structure(tuple(kinds), tuple(numbers), fixed)


def combination(setting: "Setting", kinds: tuple[str, ...]) -> tuple[Any, ...]:
    """The values of a setting in some columns."""
    return tuple(setting.columns[name] for name in kinds)


def groups(study: Study, kinds: tuple[str, ...]) -> dict[tuple[Any, ...], list["Setting"]]:
    """The settings of each combination, best first in each; combinations in the order of their best."""
    by_combination: dict[tuple[Any, ...], list[Setting]] = {}
    for setting in study.settings:
        by_combination.setdefault(combination(setting, kinds), []).append(setting)
    return by_combination


def in_order(study: Study, column: str) -> list[Any]:
    """The values of a column in the order of the sweep; numbers ascending."""
    values = list(dict.fromkeys(v for v in study.columns[column] if v is not None))
    return sorted(values) if all(map(_is_number, values)) else values


def is_drawn(study: Study, column: str) -> bool:
    """Whether the numbers of a column were drawn from a continuous range, or are too many for a list."""
    *_, whole = study.facts.get("ranges", {}).get(column, [True])
    return not whole or len({*study.columns[column]}) > GRID


def has_score(setting: "Setting", objective: str) -> bool:
    """Whether all seeds of the setting are done and their objective is a number."""
    return objective in setting.scores and math.isfinite(setting.scores[objective].mean)


# Runs of these statuses are not going on.
ENDED = ("done", "diverged", "failed", "pruned")


def score_names(study: Study) -> list[str]:
    """The scores, objective first."""
    return [name for name in study.columns if name not in (*study.swept, "seed", "status", "step")]


def spoken(name: str) -> str:
    """A column's name as words: `learning_rate` is `learning rate`."""
    return name.replace("_", " ")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
