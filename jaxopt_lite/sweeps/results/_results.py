"""Results of a sweep: one row per run, and the same with seeds aggregated."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jaxopt_lite._names import unknown
from jaxopt_lite.diagnostics import Record
from jaxopt_lite.sweeps.results import _export
from jaxopt_lite.sweeps.results._aggregate import aggregated
from jaxopt_lite.sweeps.results._columns import Generation, fields_of
from jaxopt_lite.sweeps.results._compare import Difference, resolution_of
from jaxopt_lite.sweeps.results._html import html_of
from jaxopt_lite.sweeps.results._model import States
from jaxopt_lite.sweeps.results._optuna_study import study_of
from jaxopt_lite.sweeps.results._paired import difference_of
from jaxopt_lite.sweeps.results._reasons import Reason, checked, reasons_of
from jaxopt_lite.sweeps.results._setting import Mean, Setting
from jaxopt_lite.sweeps.results._text import text_of
from jaxopt_lite.sweeps.spaces._ranges import Range, range_of
from jaxopt_lite.sweeps.spaces._trials import OTHER_COLUMNS
from jaxopt_lite.sweeps.store._ledger import Ledger
from jaxopt_lite.training import Task


@dataclass(frozen=True, repr=False)
class Results:
    """The table of a sweep, as columns of equal length, with one row per trial and seed.

    Attributes:
        columns: values by name: the settings, then `seed`, `status` (done, diverged, failed, pruned, running,
            waiting), `step` (steps made; of a diverged run those of the part of the training in which it diverged,
            which its curve shows), and the scores, the objective first; NaN unless the run is done.
        swept: names of the columns that are settings.
        objective: name of the score by which settings are ranked.
        mode: `"min"` or `"max"`, which values of the objective are good.
        facts: what else is known: task, steps, seeds, number of different programs, seconds, versions. `facts["last"]`
            has programs, seconds and runs of the last call alone.
        curves: for each row, by name of a step metric, its means over stretches of `facts["stride"]` steps; NaN for
            stretches the run did not reach.
        store: the folder of the ledger, None if it was kept in memory.
        trials: for each row, the number of its trial. Default: trials follow one another with all seeds each.
        confirming: for each row, whether its seed took no part in the selection (`confirm` of `run`). Default: none.
        rungs: for each row, the objective at each step where the run was scored, by step. Default: none.
        generations: for each row, how the run continued after each generation of a population. Default: none.
        batches: for each row, the number of the batch with which its trial was added. Default: one batch.
        states: the final states that were kept, for `model`. Default: none.
        records: for each row, the state of the layers by step, if the task is diagnosed (`supervised(...,
            diagnose=True)`); `records[row][step].diagnosis()` judges it. Default: None.
        errors: why runs have failed, by row: the error of the task, or what became of its worker. Default: none.

    Example:
        >>> from jaxopt_lite import optimizers as opt, sweeps, training
        >>> from jaxopt_lite.activations import tanh
        >>> space = {"activation": tanh, "optimizer": opt.adam(sweeps.values([1e-5, 1e-2]))}
        >>> results = sweeps.run(training.builtin("spirals"), space, seeds=2, steps=300, progress=False)
        >>> results.best()[0].columns["learning_rate"]
        0.01
        >>> results.modes["test_loss"]
        'min'
    """

    columns: dict[str, list[Any]]
    swept: tuple[str, ...]
    objective: str
    mode: str
    facts: dict[str, Any]
    curves: list[dict[str, np.ndarray]]
    store: Path | None
    trials: list[int] | None = None
    confirming: list[bool] | None = None
    rungs: list[dict[int, float]] | None = None
    generations: list[list[Generation]] | None = None
    batches: list[int] | None = None
    states: States | None = None
    records: list[dict[int, Record]] | None = None
    errors: dict[int, str] = field(default_factory=dict)

    @classmethod
    def load(cls, store: str | Path, *, task: Task | None = None, space: Any = None) -> "Results":
        """The results in a store, finished or not. A running sweep is read as of one moment; nothing is written.

        Args:
            store: the folder of the ledger.
            task: the training problem of the sweep, which `model` needs, with `space`. Default: none.
            space: the space of the sweep. Default: none.

        Returns:
            The table.

        Raises:
            StoreError: there is no ledger in the folder, it is damaged or of another format, or the space is not that
                of the sweep. A `ValueError`.
            ValueError: only one of task and space is given.

        Example:
            >>> from jaxopt_lite import sweeps
            >>> sweeps.Results.load("nowhere")
            Traceback (most recent call last):
                ...
            jaxopt_lite.sweeps.store._store.StoreError: nowhere holds no sweep: there is no ledger.sqlite in it
        """
        if (task is None) != (space is None):
            missing = "task" if task is None else "space"
            raise ValueError(f"load was not given the {missing}: models are rebuilt from task and space together")
        ledger = Ledger.open(Path(store), write=False)
        try:
            return read(ledger, task, space)
        finally:
            ledger.close()

    @property
    def modes(self) -> dict[str, str]:
        """Whether small (`"min"`) or large values (`"max"`) of a score are good, by its name.

        The task states them: `Task.mode` that of the objective, `Task.modes` those of other scores (`supervised` fills
        in both). They are kept in the store. A score whose direction the task does not state is absent.
        """
        return {**self.facts.get("modes", {}), self.objective: self.mode}

    @property
    def ranges(self) -> dict[str, Range]:
        """The range of each swept column of numbers, by its name, as the space has it.

        For listed numbers (`values`), and tables that do not come from a sweep, it is that of the numbers in the table,
        and `log` says whether they are more evenly spread on a logarithmic scale.

        Example:
            >>> from jaxopt_lite import sweeps
            >>> columns = {"rate": [0.1, 0.01, 0.001], "seed": [0] * 3, "status": ["done"] * 3, "loss": [1.0, 2.0, 3.0]}
            >>> sweeps.Results(columns, ("rate",), "loss", "min", {"seeds": [0]}, [{}] * 3, None).ranges["rate"]
            Range(low=0.001, high=0.1, log=True, whole=False)
        """
        drawn = {name: Range(*given) for name, given in self.facts.get("ranges", {}).items()}
        found = {name: [x for x in self.columns[name] if x is not None] for name in self.swept}
        numbers = {name: values for name, values in found.items() if values and all(map(_is_number, values))}
        return {name: range_of(values, drawn.get(name)) for name, values in numbers.items()}

    def __len__(self) -> int:
        return len(self.columns["status"])

    def __repr__(self) -> str:
        return text_of(self._heading(), self.settings()[:5], self.objective)

    def _repr_html_(self) -> str:
        """The five best settings as a table, which notebooks display."""
        settings = self.settings()
        differing = [name for name in self.swept if len({repr(x) for x in self.columns[name]}) > 1]
        part, _, score = self.objective.partition("_")
        tested = f"test_{score}" if part == "validation" and f"test_{score}" in self.score_names() else None
        tied = {setting.trials for setting in self.tied()} if len(self.facts["seeds"]) > 1 else set()
        return html_of(self._heading(), settings[:5], tied, differing or self.swept, self.objective, tested)

    def _heading(self) -> str:
        status = self.columns["status"]
        counts = ", ".join(f"{status.count(s)} {s}" for s in dict.fromkeys(status))
        task = self.facts.get("task", "a task")
        return f"Results of {task}: {len(self)} runs ({counts}), best by {self.objective}:"

    def rows(self) -> list[dict[str, Any]]:
        """The table as one dict per row, from column name to value."""
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]

    def settings(self) -> list[Setting]:
        """The trials with their seeds aggregated.

        Returns:
            One record per trial, the best objective first; then those that came furthest, of which the best at their
            last rung come first.
        """
        rows, scores = range(len(self)), self.score_names()
        trials = self.trials or [row // len(self.facts["seeds"]) for row in rows]
        confirming = self.confirming or [False] * len(self)
        by_trial: dict[int, tuple[list[int], list[int]]] = {}
        for row in rows:
            by_trial.setdefault(trials[row], ([], []))[confirming[row]].append(row)
        found = [aggregated(self.columns, self.swept, scores, self.rungs or (), *both) for both in by_trial.values()]
        return sorted(found, key=lambda setting: (self._rank(setting), -setting.step, self._last_cost(setting)))

    def best(self, *by: str) -> list[Setting]:
        """The best finished setting, or the best one for each combination of some columns.

        Args:
            by: names of columns that are settings.

        Returns:
            A list, best first; with no `by` of one setting. Empty if no setting has finished with all seeds.

        Raises:
            ValueError: no setting has that name.
        """
        for name in by:
            if name not in self.swept:
                raise ValueError(unknown("column", name, self.swept))
        kept: dict[tuple[Any, ...], Setting] = {}
        for setting in self.settings():
            if math.isfinite(self._rank(setting)):
                kept.setdefault(tuple(setting.columns[name] for name in by), setting)
        return list(kept.values())

    def compare(self, a: Setting, b: Setting, score: str | None = None) -> Difference:
        """The mean difference of a score between two settings, paired by seed, with its 95 % interval.

        Runs of one seed share initialisation and data order, so the difference of two settings varies less over seeds
        than either score. With d the differences over the n seeds with which both settings are done and s their
        standard deviation, the interval is mean(d) ± t(0.975, n − 1) max(s, q/√6)/√n by Student's t distribution.
        q is the smallest step in which the score varies in this table (1/360 for an accuracy on 360 examples): it keeps
        the interval open where all seeds agree, which on so coarse a score can be chance.

        Args:
            a: a setting of `settings()` or `best()` of this table.
            b: the setting that is subtracted from it, of the same table.
            score: name of a score; the objective by default.

        Returns:
            The difference `a` − `b`. Its `distinct` is True if the interval excludes 0. With a single common seed there
            is no interval: `half_width` is NaN and `distinct` False.

        Raises:
            ValueError: no score of that name, no seed with which both are done, or a setting of another table.
            TypeError: `a` or `b` is not a setting.

        Example:
            >>> from jaxopt_lite import sweeps
            >>> columns = {"rate": [0.1] * 3 + [0.2] * 3, "seed": [0, 1, 2] * 2, "status": ["done"] * 6,
            ...            "test_loss": [0.50, 0.41, 0.47, 0.53, 0.45, 0.49]}
            >>> table = sweeps.Results(columns, ("rate",), "test_loss", "min", {"seeds": [0, 1, 2]}, [{}] * 6, None)
            >>> best, other = table.settings()
            >>> difference = table.compare(other, best)
            >>> print(f"{difference:.3f}", difference.distinct)
            +0.030 ± 0.025 True

        Reference:
            Student (1908), The probable error of a mean.
        """
        score = score or self.objective
        if score not in self.score_names():
            raise ValueError(unknown("score", score, self.score_names()))
        return self._difference(a, b, score, resolution_of(self.columns[score]))

    def tied(self, setting: Setting | None = None) -> list[Setting]:
        """The finished settings whose objective does not differ distinctly from that of `setting`, best first.

        These are the settings for which `compare(other, setting).distinct` is False. Each is compared by itself,
        without correction for the number of comparisons. With a single seed these are all finished settings.

        Args:
            setting: a finished setting of this table; the best one by default.

        Returns:
            The settings without `setting` itself; an empty list if none has finished.

        Example:
            >>> from jaxopt_lite import sweeps
            >>> columns = {"rate": [0.1] * 3 + [0.2] * 3, "seed": [0, 1, 2] * 2, "status": ["done"] * 6,
            ...            "test_loss": [0.50, 0.41, 0.47, 0.46, 0.45, 0.49]}
            >>> table = sweeps.Results(columns, ("rate",), "test_loss", "min", {"seeds": [0, 1, 2]}, [{}] * 6, None)
            >>> [other.columns["rate"] for other in table.tied()]
            [0.2]
        """
        finished = [s for s in self.settings() if math.isfinite(self._rank(s))]
        setting = setting or next(iter(finished), None)
        if setting is None:
            return []
        resolution = resolution_of(self.columns[self.objective])
        others = [s for s in finished if s.trials != setting.trials]
        return [s for s in others if not self._difference(s, setting, self.objective, resolution).distinct]

    def reasons(self) -> list[Reason]:
        """Why each setting lost that has ended and is neither the best nor tied with it.

        A setting that diverged has the step, and what its gradient did before. Of the others the layers are judged by
        the rules of `diagnose` at the steps that were recorded. A trouble that the best setting has too is no reason,
        and one that is there from the start is none where another learning rate of the same combination does better.
        With a single seed, differences have no interval, and every setting but the best counts as one that lost.

        Returns:
            The reasons in the order of `settings()`, each with what to change.

        Raises:
            ValueError: the layers were not recorded.

        Example:
            >>> from jaxopt_lite import optimizers as opt, sweeps, training
            >>> from jaxopt_lite.activations import tanh
            >>> task = training.builtin("spirals", diagnose=True)
            >>> space = {"activation": tanh, "optimizer": opt.adam(sweeps.values([1e-5, 1e-2]))}
            >>> results = sweeps.run(task, space, seeds=4, steps=300, progress=False)
            >>> results.reasons()[0].cause
            'rate'
        """
        checked(self.records)
        return list(self._reasons)

    @cached_property
    def _reasons(self) -> list[Reason]:
        return reasons_of(self)

    def model(self, setting: Setting | None = None, seed: int | None = None) -> Any:
        """The trained model of a run whose final state was kept (`keep` of `run`).

        Args:
            setting: a setting of this table; the best one by default.
            seed: the seed of the run; the first one of the setting by default.

        Returns:
            What `Task.model` returns: of a supervised task the trained NNX module, or the Linen module and its
            variables.

        Raises:
            ValueError: no setting is finished, the state of the run was not kept, the setting was not run with that
                seed, the task has no `model`, or the results were loaded without the task and the space.
            StoreError: the state in the store is damaged, or the task or the space is not that of the sweep.
            TypeError: `setting` is no `Setting`.
        """
        if setting is not None and not isinstance(setting, Setting):
            raise TypeError(f"model takes a setting, as results.best()[0] is one, got {setting!r}")
        setting = setting or next(iter(self.best()), None)
        if setting is None:
            raise ValueError("no setting has finished with all seeds, so there is no best model")
        if self.states is None:
            raise ValueError(
                "the model cannot be rebuilt without the task and the space: "
                "Results.load(store, task=task, space=space) or the results of sweeps.run"
            )
        seeds = {self.columns["seed"][row]: row for row in setting.trials}
        if seed is not None and seed not in seeds:
            raise ValueError(f"this setting ran with the seeds {sorted(seeds)}, not {seed}")
        return self.states.model(setting.trials[0] if seed is None else seeds[seed])

    def score_names(self) -> list[str]:
        """Names of the columns that are scores, the objective first."""
        return [name for name in self.columns if name not in (*self.swept, *OTHER_COLUMNS)]

    def _difference(self, a: Setting, b: Setting, score: str, resolution: float) -> Difference:
        return difference_of(self.columns, self.swept, a, b, score, resolution)

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame.

        Returns:
            A DataFrame with the columns of this table, one row per trial and seed.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return _export.to_pandas(self.columns)

    def to_csv(self, path: str | Path) -> Path:
        """Write the table as CSV; numbers read back equal.

        Args:
            path: the file, which is replaced if it exists.

        Returns:
            The path.

        Raises:
            OSError: the file cannot be written.
        """
        return _export.to_csv(self.columns, Path(path))

    def to_parquet(self, path: str | Path) -> Path:
        """Write the table as Parquet.

        Args:
            path: the file, which is replaced if it exists.

        Returns:
            The path.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
            OSError: the file cannot be written.
        """
        return _export.to_parquet(self.columns, Path(path))

    def to_optuna(self, storage: Any = None, study_name: str | None = None) -> Any:
        """Write the settings as the trials of a new study of Optuna, for its plots and for optuna-dashboard.

        The value of a trial is the mean of the objective over the seeds, and its intermediate values are the means over
        the seeds that were scored at a rung (with `race=True` the first seed alone). A setting that is done with all
        seeds is COMPLETE, one that was stopped early is PRUNED, and one with a diverged or failed seed is FAIL, since
        the mean of the other seeds would be biased. Settings that are still to be run are left out. Distributions are
        those of the space; listed numbers become a range from the lowest to the highest. Half-widths of intervals,
        other scores, and the means over the seeds of `confirm` are user attributes.

        Args:
            storage: a storage of Optuna, or its URL as `"sqlite:///study.db"`. Default: in memory.
            study_name: name of the new study. Default: the name of the store's folder, or of the task without a store.

        Returns:
            The `optuna.Study`.

        Raises:
            ModuleNotFoundError: Optuna is not installed.
            ValueError: the storage has a study of that name already, which would hold the trials twice.

        Example:
            >>> from jaxopt_lite import sweeps
            >>> columns = {"rate": [0.1, 0.1, 0.2, 0.2], "seed": [0, 1, 0, 1], "status": ["done"] * 4,
            ...            "test_loss": [0.50, 0.41, 0.53, 0.45]}
            >>> table = sweeps.Results(columns, ("rate",), "test_loss", "min", {"seeds": [0, 1]}, [{}] * 4, None)
            >>> study = table.to_optuna(study_name="rates")  # doctest: +SKIP
            >>> study.best_params  # doctest: +SKIP
            {'rate': 0.1}
        """
        made = sorted(self.settings(), key=lambda setting: setting.trials)
        name = study_name or (self.store.resolve().name if self.store else self.facts.get("task", "sweep"))
        return study_of(made, self.ranges, self.objective, self.mode, self.facts, storage, name)

    def _rank(self, setting: Setting) -> float:
        return self._cost(setting.scores.get(self.objective))

    def _last_cost(self, setting: Setting) -> float:
        return self._cost(setting.rungs[max(setting.rungs)] if setting.rungs else None)

    def _cost(self, score: Mean | None) -> float:
        if score is None or math.isnan(score.mean):
            return math.inf
        return -score.mean if self.mode == "max" else score.mean


def read(ledger: Ledger, task: Task | None = None, space: Any = None) -> Results:
    """The results that a ledger holds now; with its task and space, models can be rebuilt."""
    fields = fields_of(ledger)
    states = None if task is None else States.of(ledger, task, space, fields["facts"])
    return Results(**fields, states=states)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
