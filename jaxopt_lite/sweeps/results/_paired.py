"""Two settings of one table, compared by seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxopt_lite.sweeps.results._compare import Difference, paired
from jaxopt_lite.sweeps.results._setting import Setting

Columns = Mapping[str, Sequence[Any]]


def difference_of(
    columns: Columns, swept: Sequence[str], a: Setting, b: Setting, score: str, resolution: float
) -> Difference:
    """The difference `a` − `b` of a score, paired by seed.

    Args:
        columns: the table, by name of a column.
        swept: the columns that are settings.
        a: a setting of the table.
        b: another one.
        score: the name of the score.
        resolution: the smallest step in which the score varies.

    Raises:
        ValueError: no seed with which both are done, or a setting of another table.
        TypeError: `a` or `b` is not a setting.
    """
    by_seed = [_done_by_seed(columns, swept, setting, score) for setting in (a, b)]
    seeds = [seed for seed in by_seed[0] if seed in by_seed[1]]
    if not seeds:
        raise ValueError(
            f"{a.columns} and {b.columns} have no seed with which both are done, so they cannot be compared"
        )
    first, second = ([scores[seed] for seed in seeds] for scores in by_seed)
    return paired(score, first, second, seeds, resolution)


def _done_by_seed(columns: Columns, swept: Sequence[str], setting: Setting, score: str) -> dict[int, float]:
    if not isinstance(setting, Setting):
        raise TypeError(f"compare takes two settings, rows of settings() or best(), got {setting!r}")
    rows = setting.trials
    other = max(rows) >= len(columns["status"])
    if other or any(columns[name][rows[0]] != setting.columns[name] for name in swept):
        raise ValueError(f"{setting.columns} is not a setting of this table; take it from settings() or best()")
    done = [i for i in rows if columns["status"][i] == "done"]
    return {columns["seed"][i]: columns[score][i] for i in done}
