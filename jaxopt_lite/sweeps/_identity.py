"""Which sweep a ledger holds: what must be equal for it to be gone on with."""

import hashlib
import json
import platform
from typing import Any

import flax
import jax
import numpy as np
import optax

from jaxopt_lite.sweeps._ledger import Ledger, Row, StoreError
from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps._program import Traced, stride


def facts_of(planned: Plan, traced: dict[int, list[Traced]]) -> dict[str, Any]:
    """What a ledger keeps of a plan and its programs."""
    task = planned.task
    return {
        "task": task.name,
        "objective": task.objective,
        "mode": task.mode,
        "steps": planned.steps,
        "stride": stride(planned.steps),
        "seeds": list(planned.seeds),
        "columns": list(planned.trials[0].columns),
        "settings": len(planned.trials),
        "structures": planned.structures,
        "widths": planned.widths,
        "digests": {str(nth): list(own[0].digests) for nth, own in traced.items()},
        "numbers": _numbers(planned),
        "data": _digest(task.data),
        "device": f"{planned.devices[0].platform}: {planned.devices[0].device_kind}",
        "workers": planned.workers,
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "flax": flax.__version__,
            "optax": optax.__version__,
        },
    }


def check_same(ledger: Ledger, planned: Plan) -> None:
    """Find out whether a ledger holds the sweep of a plan.

    Raises:
        StoreError: it does not; the message says in what they differ.
    """
    held, facts = ledger.facts(), facts_of(planned, {})
    named = {
        "task": "task",
        "steps": "steps",
        "seeds": "seeds",
        "columns": "columns",
        "settings": "settings",
        "data": "data",
    }
    for key, name in named.items():
        if held.get(key) != facts[key]:
            told = "" if key == "data" else f": it holds {held.get(key)}, asked for is {facts[key]}"
            raise _differs(ledger, f"in its {name}{told}")
    for old, new in zip(ledger.rows(), planned.rows(), strict=True):
        if json.dumps(old.columns) != json.dumps(new.columns):  # NaN is equal to itself here
            raise _differs(ledger, f"in its trials: where it has {_brief(old)}, asked for is {_brief(new)}")
    if held.get("numbers") != facts["numbers"]:
        raise _differs(ledger, "in a setting that is not swept, such as b1 of adam")


def check_programs(ledger: Ledger, facts: dict[str, Any]) -> None:
    """Find out whether what is left of a sweep would be run by the programs that ran the rest.

    Raises:
        StoreError: it would not: the task's code, a version or the device is another.
    """
    held = ledger.facts()
    for what in ("versions", "device"):
        if facts["digests"] and held[what] != facts[what]:
            raise _differs(ledger, f"in its {what}: it was begun with {held[what]}, this is {facts[what]}")
    if any(held["digests"].get(nth) != digests for nth, digests in facts["digests"].items()):
        raise _differs(ledger, "in its compiled program, so that the numbers would not be those of one sweep")


def _differs(ledger: Ledger, how: str) -> StoreError:
    return StoreError(f"the sweep in {ledger.store} differs {how}. Resume with its own settings, or name another store")


def _brief(row: Row) -> str:
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.columns.items())


def states(ledger: Ledger, planned: Plan, traced: dict[int, list[Traced]]) -> dict[int, Any]:
    """The state of trials under way: step, the arrays of the carry, the sums of the curve."""
    each = len(planned.seeds)
    specs = {m.trial: own[0].carry for nth, own in traced.items() for m in planned.groups[nth].members}
    sums = ledger.sums()
    found = {}
    for row, step, blob in ledger.carries():
        arrays, at = [], 0
        for spec in specs[row // each]:
            size = int(np.prod(spec.shape[1:])) * spec.dtype.itemsize
            arrays.append(
                np.frombuffer(blob, spec.dtype, offset=at, count=size // spec.dtype.itemsize).reshape(spec.shape[1:])
            )
            at += size
        if at != len(blob):
            raise StoreError(f"the state of run {row} in {ledger.store} is not that of this task's carry")
        found[row] = (step, arrays, {name: np.array(s) for name, s in sums.get(row, {}).items()})
    return found


def _digest(data: Any) -> str:
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(data):
        array = np.asarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def _numbers(planned: Plan) -> str:
    """A digest of all numbers of all trials, those that no column shows included."""
    found = hashlib.sha256()
    for group in planned.groups:
        for member in group.members:
            found.update(f"{member.trial} {member.taken}".encode())
            found.update(b"".join(np.asarray(number, float).tobytes() for number in member.numbers))
    return found.hexdigest()
