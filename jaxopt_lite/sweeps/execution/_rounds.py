"""What a sweep runs next: the strategy's orders, as chunks of runs with their states."""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps.execution._schedule import Job, Runner
from jaxopt_lite.sweeps.programs._group import Member
from jaxopt_lite.sweeps.programs._program import Chunk
from jaxopt_lite.sweeps.results._setting import mean_of
from jaxopt_lite.sweeps.store._database import CONFIRM, Row, decoded, encoded
from jaxopt_lite.sweeps.store._ledger import FINAL, LOSSES, Ledger, StoreError
from jaxopt_lite.sweeps.strategies import History, Order, Population, Run


class State(NamedTuple):
    """The state of one run between two segments: its step, its arrays, and the points of its curves."""

    step: int
    arrays: list[np.ndarray]
    points: dict[str, np.ndarray]


class Rounds:
    """The rounds of a sweep. Everything a round depends on is in the ledger, so a resumed sweep makes the same rounds.

    A round is a set of orders of the strategy. The next one is decided when all runs of the round have been scored.
    """

    def __init__(self, planned: Plan, ledger: Ledger, best: "Best") -> None:
        self._plan, self._ledger, self._best = planned, ledger, best
        self._placed: dict[str, tuple[int, Member]] = {}  # group and numbers of a point
        self._replayed = False

    def group_of(self, row: Row) -> int:
        """The number of the group of a run."""
        return self._place(row)[0]

    def next(self) -> list[tuple[Row, int]]:
        """The runs of the next round with the step to which each is brought; nothing if the sweep is finished."""
        while True:
            rows = self._ledger.rows()
            history = self._history(rows)
            wanted: list[Order] = []
            adopted = False
            for trials in history.batches:
                orders = self._plan.stop.orders(history, trials)
                wanted += orders
                if not orders and self._adopt(rows, history, trials):
                    adopted = True
                elif not orders:
                    self._prune(rows, trials)
            if adopted:
                continue
            if not wanted and self._add_batch(rows, history):
                continue
            if not wanted and self._add_confirming(rows, history):
                continue
            wanted = wanted or self._confirming(rows)
            if wanted:
                return self._begun(rows, wanted)
            return self._kept(rows)

    def jobs(self, runs: Sequence[tuple[Row, int]], shapes: dict[int, list[Any]]) -> list[Job]:
        """The chunks of a round, those of runs with a state first.

        Args:
            runs: runs and the steps to which they are brought.
            shapes: for each group, the shapes of the arrays of the state of a chunk.

        Raises:
            StoreError: a state in the ledger is damaged or is not that of this task.
        """
        states = self._states([row for row, _ in runs if row.step], shapes)
        copies = {one.id: one.step for one in self._ledger.adopted() if one.id != one.source}
        alike: dict[tuple[Any, ...], list[Row]] = {}
        for row, end in runs:
            nth, member = self._place(row)
            step = states[row.id].step if row.id in states else 0
            alike.setdefault((nth, member.branches, step, end, copies.get(row.id) == step), []).append(row)
        jobs = []
        for (nth, _, step, end, copied), rows in alike.items():
            width = self._plan.widths[nth]
            for chunk in (rows[i : i + width] for i in range(0, len(rows), width)):
                state = _stacked([states[row.id] for row in chunk]) if step else None
                runners = tuple(Runner(row.id, row.seed, self._place(row)[1]) for row in chunk)
                jobs.append(Job(nth, runners, step, end, state, copied))
        return sorted(jobs, key=lambda job: job.state is None)

    def _place(self, row: Row) -> tuple[int, Member]:
        if row.picks not in self._placed:
            self._placed[row.picks] = self._plan.grouping.assign(self._plan.make(decoded(row.picks)).value)
        return self._placed[row.picks]

    def _history(self, rows: Sequence[Row]) -> History:
        scores = self._ledger.scores_by_step(self._plan.task.objective)
        batches: dict[int, dict[int, None]] = {}
        for row in rows:
            if row.batch != CONFIRM:
                batches.setdefault(row.batch, {})[row.trial] = None
        generations = Counter(one.id for one in self._ledger.adopted())
        runs = {
            (row.trial, row.seed): Run(
                row.status in LOSSES, row.step, scores.get(row.id, {}), generations.get(row.id, 0)
            )
            for row in rows
            if row.id in scores or row.status in LOSSES
        }
        minimise = self._plan.task.mode == "min"
        return History(self._plan.steps, self._plan.seeds, minimise, tuple(map(tuple, batches.values())), runs)

    def _adopt(self, rows: Sequence[Row], history: History, trials: Sequence[int]) -> bool:
        """Write how the runs of a batch continue after a generation, if the strategy says so."""
        by_run = {(row.trial, row.seed): row for row in rows}
        by_trial = {row.trial: row for row in rows}
        found = self._plan.stop.adoptions(
            self._plan.space, self._plan.seed, history, trials, lambda trial: decoded(by_trial[trial].picks)
        )
        runs = [
            (
                by_run[one.trial, one.seed]._replace(
                    columns=self._plan.make(one.picks).columns, picks=encoded(one.picks)
                ),
                by_run[one.source, one.seed],
            )
            for one in found
        ]
        if runs:
            self._ledger.adopt(runs[0][1].step, [(row, source.id) for row, source in runs])
        return bool(runs)

    def _prune(self, rows: Sequence[Row], trials: Iterable[int]) -> None:
        """Give the status `pruned` to the runs of a finished batch that were not brought to their last step."""
        finished = set(trials)
        pruned = [r.id for r in rows if r.trial in finished and r.status not in FINAL and r.batch != CONFIRM]
        if pruned:
            self._ledger.prune(pruned)

    def adds(self) -> bool:
        """Whether runs of further trials or with further seeds are still to be added, if no run remains."""
        rows = self._ledger.rows()
        history = self._history(rows)
        return bool(self._proposed(rows, history) or self._further(rows, history))

    def _add_batch(self, rows: Sequence[Row], history: History) -> bool:
        """Add the trials that the search proposes next, if it does."""
        new = self._proposed(rows, history)
        if new:
            self._ledger.add(new)
        return bool(new)

    def _proposed(self, rows: Sequence[Row], history: History) -> list[Row]:
        """The runs of the trials that the search proposes next."""
        search = self._plan.search
        picks = [decoded(text) for text in {row.trial: row.picks for row in rows}.values()]
        if search is None or len(picks) >= self._plan.most:
            return []
        new = search.next_batch(self._plan.space, self._plan.seed, history, picks, self._plan.most - len(picks))
        return self._plan.rows(new, self._plan.seeds, len(rows), len(picks), len(picks) // search.batch)

    def _add_confirming(self, rows: Sequence[Row], history: History) -> bool:
        """Add the runs of the best settings with seeds that took no part in their selection, if they are not there."""
        new = self._further(rows, history)
        if new:
            self._ledger.add(new)
        return bool(new)

    def _further(self, rows: Sequence[Row], history: History) -> list[Row]:
        """The runs of the best settings with seeds that took no part in their selection that are not there."""
        if self._plan.confirm is None:
            return []
        most, further = self._plan.confirm
        by_trial, there = {row.trial: row for row in rows}, {(row.trial, row.seed) for row in rows}
        new: list[Row] = []
        for trial in self._ranked(rows, history)[:most]:
            for seed in further_seeds(self._plan.seeds, further):
                if (trial, seed) not in there:
                    first = len(rows) + len(new)
                    new.append(by_trial[trial]._replace(id=first, seed=seed, status="waiting", step=0, batch=CONFIRM))
        return new

    def _ranked(self, rows: Sequence[Row], history: History) -> list[int]:
        """The trials that are done with all seeds, the best first."""
        complete = {row.trial for row in rows} - {
            row.trial for row in rows if row.batch != CONFIRM and row.status != "done"
        }
        steps, seeds = self._plan.steps, self._plan.seeds
        costs = {t: mean_of([history.cost(t, seed, steps) or 0.0 for seed in seeds]).mean for t in complete}
        return sorted(complete, key=lambda trial: (costs[trial], trial))

    def _confirming(self, rows: Sequence[Row]) -> list[Order]:
        waiting = [row for row in rows if row.batch == CONFIRM and row.status not in FINAL]
        return [Order(row.trial, row.seed, self._plan.steps) for row in waiting]

    def _begun(self, rows: Sequence[Row], orders: Sequence[Order]) -> list[tuple[Row, int]]:
        """The runs of some orders; one that was pruned, or is past the step, begins again."""
        by_run = {(row.trial, row.seed): row for row in rows}
        runs = [(by_run[order.trial, order.seed], order.step) for order in orders]
        again = [row.id for row, step in runs if row.status == "pruned" or row.step >= step]
        if again:
            self._ledger.revive(again)
            revived = set(again)
            runs = [(row._replace(step=0, status="waiting") if row.id in revived else row, s) for row, s in runs]
        return runs

    def _kept(self, rows: Sequence[Row]) -> list[tuple[Row, int]]:
        """Delete the final states that are not to be kept; the runs whose state is to be kept and is not there."""
        best, stored = self._trials_to_keep(rows), set(self._ledger.stored())
        self._ledger.forget([row.id for row in rows if row.id in stored and row.trial not in best])
        missing = self.without_state()
        if self._replayed or not missing:
            return []
        self._replayed = True
        self._best.keep_all()
        return [(row._replace(step=0), self._plan.steps) for row in missing]

    def without_state(self) -> list[Row]:
        """The finished runs whose final state is to be kept, is not there, and can be made again."""
        rows = self._ledger.rows()
        best, there = self._trials_to_keep(rows), {*self._ledger.stored(), *self._ledger.copies()}
        return [row for row in rows if row.trial in best and row.status == "done" and row.id not in there]

    def _trials_to_keep(self, rows: Sequence[Row]) -> set[int]:
        if self._plan.keep == "all":
            return {row.trial for row in rows}
        return set(self._ranked(rows, self._history(rows))[: self._plan.keep])

    def _states(self, rows: Sequence[Row], shapes: dict[int, list[Any]]) -> dict[int, State]:
        """The states of some runs that have begun, by row."""
        if not rows:
            return {}
        by_id = {row.id: row for row in rows}
        points = self._ledger.points(by_id)
        found = {}
        for row, step, blob in self._ledger.carries(by_id):
            arrays = unpacked(blob, shapes[self.group_of(by_id[row])])
            if arrays is None:
                raise StoreError(f"the state of run {row} in {self._ledger.store} is not that of this task's carry")
            found[row] = State(step, arrays, {name: np.array(p) for name, p in points.get(row, {}).items()})
        return found


class Best:
    """Which finished runs may be among the best, so that their final states are stored before all runs are known."""

    def __init__(self, planned: Plan, ledger: Ledger) -> None:
        # the states of a population cannot be made again from its settings, so they are stored until the end
        self._all = planned.keep == "all" or isinstance(planned.stop, Population)
        self._sign = 1.0 if planned.task.mode == "min" else -1.0
        seeds = len(planned.seeds) + (planned.confirm[1] if planned.confirm else 0)
        self._most = 0 if planned.keep == "all" else planned.keep * seeds
        scores = ledger.scores(planned.steps)
        self._costs = [self._sign * named[planned.task.objective] for named in scores.values()]
        self._claim = threading.Lock()

    def keep_all(self) -> None:
        """From now on, every final state is stored."""
        self._all = True

    def keeps(self, objective: float) -> bool:
        """Whether the final state of a run that is done with this objective is stored."""
        if self._all or not self._most:
            return self._all
        with self._claim:
            self._costs.append(self._sign * objective)
            self._costs = sorted(cost for cost in self._costs if cost == cost)[: self._most]
            return self._sign * objective <= self._costs[-1]


def assigned(planned: Plan, rows: Iterable[Row]) -> dict[int, int]:
    """The number of the group of each trial."""
    points = {row.trial: row.picks for row in rows}
    return {trial: planned.grouping.assign(planned.make(decoded(text)).value)[0] for trial, text in points.items()}


def further_seeds(seeds: Sequence[int], count: int) -> list[int]:
    """The next `count` seeds after the largest of some seeds, from 0 on where 2³² is reached."""
    out: list[int] = []
    seed = max(seeds)
    while len(out) < count:
        seed = (seed + 1) % (1 << 32)
        if seed not in seeds:
            out.append(seed)
    return out


def unpacked(blob: bytes, shapes: Sequence[Any]) -> list[np.ndarray] | None:
    """The arrays of one run from their bytes; `shapes` are those of a chunk. None if the sizes do not agree."""
    arrays, at = [], 0
    for shape in shapes:
        count = int(np.prod(shape.shape[1:]))
        if at + count * shape.dtype.itemsize <= len(blob):
            array = np.frombuffer(blob, shape.dtype, offset=at, count=count)
            arrays.append(array.reshape(shape.shape[1:]))
        at += count * shape.dtype.itemsize
    return arrays if at == len(blob) else None


def _stacked(states: Sequence[State]) -> Chunk:
    carry = [np.stack(arrays) for arrays in zip(*(state.arrays for state in states), strict=True)]
    return Chunk(carry, {name: np.stack([state.points[name] for state in states]) for name in states[0].points})
