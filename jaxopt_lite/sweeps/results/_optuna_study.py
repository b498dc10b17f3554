"""The settings of a sweep as a study of Optuna."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxopt_lite.sweeps.results._setting import Setting
from jaxopt_lite.sweeps.spaces._ranges import Range


def study_of(
    settings: Sequence[Setting],
    ranges: Mapping[str, Range],
    objective: str,
    mode: str,
    facts: Mapping[str, Any],
    storage: Any,
    name: str,
) -> Any:
    """A new study that holds the settings as its trials.

    Args:
        settings: the settings, in the order in which the sweep made them.
        ranges: the ranges of the columns of numbers; the other columns are categories.
        objective: the score that is the value of a trial.
        mode: `"min"` or `"max"`.
        facts: those of the results.
        storage: Optuna's storage or its URL; None for one in memory.
        name: of the study.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
        ValueError: the storage has a study of that name.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise ModuleNotFoundError("to_optuna needs Optuna: pip install 'jaxopt-lite[optuna]'", name="optuna") from None
    direction: Any = "maximize" if mode == "max" else "minimize"
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    except optuna.exceptions.DuplicatedStudyError:
        raise ValueError(
            f"the storage has a study {name!r} already, and its trials would be there twice: "
            "give another study_name, or delete that study with optuna.delete_study"
        ) from None
    ended = [s for s in settings if s.done + s.diverged + s.failed + s.pruned == s.seeds]
    distributions = _distributions(optuna, settings, ranges)
    study.add_trials([_trial(optuna, setting, objective, distributions) for setting in ended])
    described = {key: facts[key] for key in ("task", "steps", "seeds", "search", "stop") if key in facts}
    for key, value in {**described, "settings not ended": len(settings) - len(ended)}.items():
        study.set_user_attr(key, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective])
    return study


def _distributions(optuna: Any, settings: Sequence[Setting], ranges: Mapping[str, Range]) -> dict[str, Any]:
    """A distribution for each column of settings."""
    found: dict[str, Any] = {}
    for name in settings[0].columns if settings else ():
        if name not in ranges:
            labels = dict.fromkeys(_plain(s.columns[name]) for s in settings if s.columns[name] is not None)
            found[name] = optuna.distributions.CategoricalDistribution(list(labels)) if labels else None
        elif ranges[name].whole:
            low, high, log, _ = ranges[name]
            found[name] = optuna.distributions.IntDistribution(int(low), int(high), log=log and low >= 1)
        else:
            low, high, log, _ = ranges[name]
            found[name] = optuna.distributions.FloatDistribution(low, high, log=log)
    return found


def _trial(optuna: Any, setting: Setting, objective: str, distributions: Mapping[str, Any]) -> Any:
    states = optuna.trial.TrialState
    complete = setting.done == setting.seeds and math.isfinite(setting.scores[objective].mean)
    state = states.COMPLETE if complete else states.FAIL if setting.lost or not setting.pruned else states.PRUNED
    params = {name: _plain(value) for name, value in setting.columns.items() if value is not None}
    return optuna.trial.create_trial(
        state=state,
        value=setting.scores[objective].mean if complete else None,
        params=params,
        distributions={name: distributions[name] for name in params},
        intermediate_values={step: mean.mean for step, mean in setting.rungs.items() if math.isfinite(mean.mean)},
        user_attrs=_attributes(setting, objective),
    )


def _attributes(setting: Setting, objective: str) -> dict[str, Any]:
    """What else is known of a setting; numbers that are not finite are omitted, as JSON does not have them."""
    out: dict[str, Any] = {"seeds": setting.seeds, "done": setting.done, "diverged": setting.diverged}
    out |= {"failed": setting.failed} if setting.failed else {}
    numbers = {name: mean.mean for name, mean in setting.scores.items() if name != objective}
    numbers |= {f"{name} ± (95 %)": mean.half_width for name, mean in setting.scores.items()}
    numbers |= {f"{name}, confirmed": mean.mean for name, mean in setting.confirmed.items()}
    return out | {name: number for name, number in numbers.items() if math.isfinite(number)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
