"""Optuna's samplers: batches of trials, asked from a study that is rebuilt from the history."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxopt_lite._names import unknown
from jaxopt_lite.sweeps.spaces._space import Choice, Distribution, Integers, LogUniform, Uniform, label
from jaxopt_lite.sweeps.spaces._trials import Picks, key_of, leaves
from jaxopt_lite.sweeps.strategies._history import History

SAMPLERS = {"tpe": "TPESampler", "gp": "GPSampler", "cmaes": "CmaEsSampler", "qmc": "QMCSampler"}


class Optuna(NamedTuple):
    """A sampler of Optuna and the number of trials that it is asked for at once; made by `optuna`."""

    sampler: Callable[..., Any] | str
    batch: int

    def next_batch(self, space: Any, seed: int, history: History, picks: Sequence[Picks], most: int) -> list[Picks]:
        """Up to `most` new points, when the trials before them are finished.

        They depend on the arguments alone: the study is rebuilt from them, and the sampler's seed follows from `seed`
        and the number of the batch. A batch that is not complete, because the sweep had fewer trials, is completed.
        """
        package = imported()
        begun = len(picks) // self.batch * self.batch
        number = hashlib.sha256(f"{seed} {begun}".encode()).digest()
        sampler = _sampler(package, self.sampler, int.from_bytes(number[:4], "big") >> 1)
        study = package.create_study(sampler=sampler, direction="minimize")
        study.add_trials([_optuna_trial(package, space, history, nth, picks[nth]) for nth in range(begun)])
        known = {key_of(picked) for picked in picks[:begun]}
        asked: list[Picks] = []
        wanted = min(self.batch, len(picks) - begun + most)
        for _ in range(20 * wanted):
            if len(asked) == wanted:
                break
            picked = _suggested(space, study.ask())
            key = key_of(picked)
            if key not in known:  # a point twice would train the same trial twice
                known.add(key)
                asked.append(picked)
        return asked[len(picks) - begun :]

    def __repr__(self) -> str:
        return f"optuna({label(self.sampler)}, batch={self.batch})"


def optuna(sampler: Callable[..., Any] | str = "tpe", batch: int = 16) -> Optuna:
    """Search with a sampler of Optuna, which is asked for a batch of trials at a time.

    The study lives in memory and is rebuilt from the ledger for every batch, with a seed for the sampler that depends
    on the sweep's `seed` and the number of trials. So the points are the same after an interruption. A trial counts as
    the mean of its objective over the seeds, one that was pruned as pruned, and one that diverged as infinitely
    bad.

    Args:
        sampler: `"tpe"`, `"gp"`, `"cmaes"`, `"qmc"`, a class of `optuna.samplers`, or another function of a keyword
            `seed` that returns a sampler, such as `functools.partial(optuna.samplers.TPESampler, multivariate=True)`.
            Default: `"tpe"`.
        batch: number of trials that are asked for at once and trained side by side, at least 1. Smaller batches use
            more of what is known, larger ones more of the machine. Default: 16.

    Returns:
        The search, for `run(..., search=...)`.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
        ValueError: no sampler has that name, or `batch` is out of range.
        TypeError: `sampler` is neither a name nor a function; an instance cannot be given a seed.

    Example:
        >>> optuna("tpe", batch=8)  # doctest: +SKIP
        optuna(tpe, batch=8)

    Reference:
        Akiba et al. (2019), Optuna: a next-generation hyperparameter optimization framework.
    """
    imported()
    if isinstance(sampler, str):
        if sampler not in SAMPLERS:
            raise ValueError(unknown("sampler", sampler, SAMPLERS))
    elif not callable(sampler):
        raise TypeError(
            f"optuna takes the class of a sampler, or a function of seed, not an instance: every batch needs a sampler "
            f"with a seed of its own; got {sampler!r}. Write optuna({type(sampler).__name__}) or a functools.partial"
        )
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"optuna needs a batch of at least 1 trial, got {batch!r}")
    return Optuna(sampler, batch)


def imported() -> Any:
    """The package `optuna`, quiet.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("this search needs Optuna: pip install 'jaxopt-lite[optuna]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _sampler(package: Any, sampler: Callable[..., Any] | str, seed: int) -> Any:
    if sampler == "tpe":
        return package.samplers.TPESampler(seed=seed)
    return (getattr(package.samplers, SAMPLERS[sampler]) if isinstance(sampler, str) else sampler)(seed=seed)


def _optuna_trial(package: Any, space: Any, history: History, nth: int, picked: Picks) -> Any:
    """Trial number `nth` as Optuna's record."""
    fixed = package.trial.FixedTrial({_name(path): _number(space, path, value) for path, value in picked.items()})
    _suggested(space, fixed)
    last = history.missing([nth], history.seeds, history.steps)
    state, values = package.trial.TrialState.COMPLETE, {}
    if last:  # it was pruned
        state = package.trial.TrialState.PRUNED
        values = {step: history.mean_cost(nth, history.seeds[:1], step) for step in _scored(history, nth)}
    return package.trial.create_trial(
        state=state,
        value=None if last else history.mean_cost(nth, history.seeds, history.steps),
        params=fixed.params,
        distributions=fixed.distributions,
        intermediate_values=values,
    )


def _scored(history: History, trial: int) -> list[int]:
    run = history.runs.get((trial, history.seeds[0]))
    return [] if run is None else sorted(run.scores)


def _suggested(space: Any, trial: Any, path: tuple[Any, ...] = ()) -> Picks:
    """The point of a space that Optuna's trial picks; an alternative's own numbers are asked for where it is taken."""
    picks: Picks = {}
    for here, leaf in leaves(space, path):
        name = _name(here)
        if isinstance(leaf, Choice):
            branch = trial.suggest_categorical(name, list(range(len(leaf.alternatives))))
            picks |= {here: branch, **_suggested(leaf.alternatives[branch], trial, (*here, branch))}
        elif isinstance(leaf, Uniform):
            picks[here] = trial.suggest_float(name, leaf.low, leaf.high)
        elif isinstance(leaf, LogUniform):
            picks[here] = trial.suggest_float(name, leaf.low, leaf.high, log=True)
        elif isinstance(leaf, Integers):
            picks[here] = trial.suggest_int(name, leaf.low, leaf.high)
        elif isinstance(leaf, Distribution):  # listed numbers, by their place in increasing order
            numbers = sorted(leaf.grid() or ())
            picks[here] = numbers[trial.suggest_int(name, 0, len(numbers) - 1)]
    return picks


def _number(space: Any, path: tuple[Any, ...], value: Any) -> Any:
    """What Optuna knows of a pick: the value, or the place of a listed number in increasing order."""
    leaf = _leaf(space, path)
    if isinstance(leaf, Choice | Uniform | LogUniform | Integers):
        return value
    return sorted(leaf.grid()).index(value)


def _leaf(space: Any, path: tuple[Any, ...], base: tuple[Any, ...] = ()) -> Any:
    """The leaf of a space at a path; `base` is the path of the space itself."""
    for here, leaf in leaves(space, base):
        if here == path:
            return leaf
        if isinstance(leaf, Choice) and path[: len(here)] == here:
            branch = path[len(here)]
            return _leaf(leaf.alternatives[branch], path, (*here, branch))
    raise KeyError(path)


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path)) or "choice"
