"""The trained model of a run, from the final state that a sweep has kept."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.sweeps.execution._rounds import unpacked
from jaxopt_lite.sweeps.programs._group import Groups, stacked
from jaxopt_lite.sweeps.programs._trace import flattened
from jaxopt_lite.sweeps.results._columns import in_order
from jaxopt_lite.sweeps.spaces._trials import Trials, structures
from jaxopt_lite.sweeps.store._database import Row, decoded
from jaxopt_lite.sweeps.store._ledger import Ledger, StoreError
from jaxopt_lite.training import Task
from jaxopt_lite.training._run import start


class Source(NamedTuple):
    """What the runs of a table were made from: their models can be rebuilt with it.

    Attributes:
        task: the training problem.
        make: makes a trial from a point of the space.
        grouping: the structures of the trials.
    """

    task: Task
    make: Trials
    grouping: Groups

    def carry(self, picks: str, seed: int, blob: bytes, store: Any) -> tuple[Any, Any]:
        """The trial at a point, as the program sees it, and its carry from the bytes of a state.

        Raises:
            StoreError: the bytes are not those of this task's carry.
        """
        nth, member = self.grouping.assign(self.make(decoded(picks)).value)
        group, branches = self.grouping.groups[nth], [jnp.int32(i) for i in member.branches]
        restores: list[Callable[[Sequence[Any]], Any]] = []

        def started(numbers: Any) -> list[Any]:
            arrays, restore = flattened(start(self.task, group.rebuilt(branches, numbers), seed))
            restores.append(restore)
            return arrays

        numbers = stacked([member], 1)
        shapes = jax.eval_shape(started, [x[0] for x in numbers])
        wide = [jax.ShapeDtypeStruct((1, *shape.shape), shape.dtype) for shape in shapes]
        arrays = unpacked(blob, wide)
        if arrays is None:
            raise StoreError(f"the state in {store} is not that of this task: its model or its space has changed")
        trial = group.rebuilt(branches, [jnp.asarray(x[0]) for x in numbers])
        return trial, restores[-1]([jnp.asarray(x) for x in arrays])


class States(NamedTuple):
    """The final states of a sweep that were kept, and what rebuilds models from them.

    Attributes:
        source: what the runs were made from.
        ids: the numbers of the runs in the ledger, in the order of the table.
        kept: the runs of a ledger in memory whose states were kept, by number; None if they are read from `store`.
        store: the folder of the ledger.
    """

    source: Source
    ids: np.ndarray
    kept: dict[int, tuple[Row, bytes]] | None
    store: Path | None

    @classmethod
    def of(cls, ledger: Ledger, task: Task, space: Any, facts: Mapping[str, Any]) -> "States":
        """The states in a ledger.

        Args:
            ledger: the ledger.
            task: the training problem of its sweep.
            space: the space of its sweep.
            facts: the facts of the ledger.

        Raises:
            StoreError: the space does not lead to the settings of the sweep.
        """
        runs = in_order(ledger.rows())
        examples = structures(space) or [decoded(text) for text in {run.picks: None for run in runs}]
        make = Trials(space, examples)
        if make.columns != facts["columns"]:
            raise StoreError(
                f"the sweep in {ledger.store} has the settings {', '.join(facts['columns'])}, the space given has "
                f"{', '.join(make.columns)}"
            )
        source = Source(task, make, Groups([make(one).value for one in examples], merge=facts["merge"]))
        kept = {id: (ledger.row(id), blob) for id, _, blob in ledger.carries()} if ledger.store is None else None
        return cls(source, np.array([run.id for run in runs], np.int64), kept, ledger.store)

    def model(self, row: int) -> Any:
        """The model of the run in a row of the table.

        Raises:
            ValueError: its final state was not kept, or the task has no `model`.
            StoreError: the state is damaged or not that of this task.
        """
        task = self.source.task
        if task.model is None:
            raise ValueError(
                f"task {task.name!r} says nothing of its model: give Task(..., model=lambda trial, carry: ...)"
            )
        found = self._found(int(self.ids[row]))
        if found is None:
            raise ValueError(
                "the final state of this run was not kept: only those of the best settings are, as many as keep says; "
                'run with keep="all" to have every model'
            )
        run, blob = found
        return task.model(*self.source.carry(run.picks, run.seed, blob, self.store))

    def _found(self, id: int) -> tuple[Row, bytes] | None:
        """A run and its final state, if that was kept."""
        if self.kept is not None or self.store is None:
            return (self.kept or {}).get(id)
        ledger = Ledger.open(self.store, write=False)
        try:
            return next(((ledger.row(id), blob) for _, _, blob in ledger.carries([id])), None)
        finally:
            ledger.close()
