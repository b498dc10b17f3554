"""Which sweep a ledger holds: what must match to resume it."""

import hashlib
import json
import platform
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import optax

from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.programs._executables import update
from jaxopt_lite.sweeps.programs._program import Traced
from jaxopt_lite.sweeps.spaces._ranges import drawn_ranges
from jaxopt_lite.sweeps.spaces._trials import OTHER_COLUMNS
from jaxopt_lite.sweeps.store._ledger import Ledger, Row, StoreError
from jaxopt_lite.sweeps.strategies import Population, Stop

# Names of facts that a note of the user cannot replace.
RESERVED = (
    *("task", "objective", "mode", "modes", "steps", "stride", "seeds", "columns", "settings", "structures", "widths"),
    *("forms", "group_widths"),
    *("numbers", "data", "device", "processor", "workers", "versions", "digests", "format", "last", "compile_seconds"),
    *("run_seconds", "programs", "search", "stop", "stop_settings", "confirm", "merge", "ranges", "diagnose"),
)


def facts_of(planned: Plan) -> dict[str, Any]:
    """What a ledger keeps of a plan."""
    task, widths = planned.task, {nth: planned.widths[nth] for nth in planned.used}
    return {
        "task": task.name,
        "objective": task.objective,
        "mode": task.mode,
        "modes": {**task.modes, task.objective: task.mode},
        "steps": planned.steps,
        "stride": planned.stride,
        "seeds": list(planned.seeds),
        "columns": planned.make.columns,
        "ranges": drawn_ranges(planned.space),
        "settings": planned.most,
        "search": repr(planned.search),
        "stop": repr(planned.stop),
        "stop_settings": _in_full(planned.stop),
        "confirm": list(planned.confirm) if planned.confirm else None,
        "structures": planned.structures,
        "widths": list(widths.values()),
        "group_widths": {str(nth): width for nth, width in widths.items() if nth not in planned.widths.errors},
        "forms": planned.forms,
        "merge": planned.layout.merge,
        "diagnose": task.diagnose,
        "numbers": _numbers(planned),
        "data": _digest(task.data, task.stream.identity if task.stream else ""),
        "device": f"{planned.devices[0].platform}: {planned.devices[0].device_kind}",
        "processor": _processor(),
        "workers": planned.workers,
        "versions": {
            "python": ".".join(platform.python_version_tuple()[:2]),
            "jax": jax.__version__,
            "jaxlib": jaxlib.version.__version__,
            "flax": version("flax"),
            "optax": optax.__version__,
        },
    }


def _in_full(rule: Stop) -> list[Any]:
    """The settings of a rule, which its text rounds; none of a rule that is not a tuple of them."""
    return json.loads(json.dumps(rule if isinstance(rule, tuple) else [], default=repr))


def check_same(ledger: Ledger, planned: Plan, facts: dict[str, Any], extend: bool = False) -> None:
    """Check that a ledger holds the sweep of a plan and its facts.

    Args:
        ledger: the ledger.
        planned: the plan.
        facts: `facts_of(planned)`.
        extend: whether the plan may have more trials, seeds or steps than the ledger.

    Raises:
        StoreError: it does not; the message names the first difference.
    """
    absent_in_older = {"diagnose": False, "stop_settings": facts["stop_settings"]}
    stored = absent_in_older | ledger.facts()
    for key in ("steps", "settings", "seeds") if extend else ():
        old, new = stored[key], facts[key]
        if new[: len(old)] != old if key == "seeds" else new < old:
            raise _differs(ledger, f"in its {key}, which can only grow: the store has {old}, requested {new}")
        facts = facts | {key: old}
    for key in (
        "task",
        "objective",
        "mode",
        "steps",
        "seeds",
        "columns",
        "settings",
        "search",
        "stop",
        "stop_settings",
        "confirm",
        "diagnose",
        "data",
    ):
        if stored.get(key) != facts[key]:
            values = "" if key == "data" else f": the store has {stored.get(key)}, requested {facts[key]}"
            name = "stop" if key == "stop_settings" else key
            name = "search" if name == "stop" and isinstance(planned.stop, Population) else name
            raise _differs(ledger, f"in its {name}{values}")
    points = dict(enumerate(planned.rows(planned.points, planned.seeds[:1], 0, 0, 0)))
    began = {one.id: one for one in reversed(ledger.adopted())}  # the settings before the first generation
    for old in ledger.rows():
        if old.id in began:
            old = old._replace(columns=began[old.id].columns, picks=began[old.id].picks)
        new = points.get(old.trial)
        if new and (old.picks != new.picks or json.dumps(old.columns) != json.dumps(new.columns)):  # NaN equals NaN
            raise _differs(ledger, f"in its trials: the store has {_brief(old)}, requested {_brief(new)}")
    if stored.get("numbers") != facts["numbers"]:
        raise _differs(ledger, "in a setting that is not swept, such as b1 of adam")


def check_versions(ledger: Ledger, facts: dict[str, Any], remaining: Callable[[], bool]) -> bool:
    """Whether a ledger was written with these versions on this kind of device, so that programs can be compared.

    Warns if runs remain and the CPU is of another model.

    Args:
        ledger: the ledger.
        facts: `facts_of` the plan.
        remaining: says whether runs remain.

    Raises:
        StoreError: it was not, and runs remain.
    """
    stored = ledger.facts()
    for key in ("versions", "device"):
        if stored[key] != facts[key]:
            if remaining():
                raise _differs(ledger, f"in its {key}: it was started with {stored[key]}, this is {facts[key]}")
            return False
    if stored["processor"] != facts["processor"] and remaining():
        warnings.warn(
            f"the sweep in {ledger.store} was started on {stored['processor']} and continues on {facts['processor']}: "
            "runs of the two may differ by rounding",
            stacklevel=2,
        )
    return True


def check_scores(planned: Plan, program: Traced) -> None:
    """Check that the scores of a program can be columns of the table.

    Raises:
        TaskError: a score has the name of another column.
    """
    for name in program.scores:
        if name in (*planned.make.columns, *OTHER_COLUMNS):
            raise TaskError(
                f"task {planned.task.name!r} gives a score {name!r}, but the table has a column of that name already; "
                "rename the score"
            )


def check_program(ledger: Ledger, group: int, program: Traced) -> None:
    """Check that a program is the one whose numbers a ledger holds.

    Raises:
        StoreError: the task's code (its model, initialisation, step or evaluation) differs.
    """
    known = ledger.facts()["digests"].get(str(group))  # None of a group that has not run yet
    if known is not None and known != list(program.digests):
        raise _differs(
            ledger, "in its compiled program (the model, its initialisation, the step or the evaluation has changed)"
        )


def _differs(ledger: Ledger, how: str) -> StoreError:
    return StoreError(
        f"the sweep in {ledger.store} differs {how}. Resume with the settings it began with, or name another store"
    )


def _brief(row: Row) -> str:
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.columns.items())


def _processor() -> str:
    """The model of the CPU, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _digest(data: Any, stream: str) -> str:
    digest = hashlib.sha256(stream.encode())
    for leaf in jax.tree.leaves(data):
        update(digest, leaf)
    return digest.hexdigest()


def _numbers(planned: Plan) -> str:
    """A digest of the numbers of an example of each structure, those that no column shows included."""
    digest = hashlib.sha256()
    for group in planned.groups:
        for member in group.examples:
            digest.update(f"{member.branches}".encode())
            for number in member.numbers:
                update(digest, number)
    return digest.hexdigest()
