"""What to change in a setting that lost, from the settings of the same sweep that did better."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from jaxopt_lite.diagnostics import Remedy
from jaxopt_lite.sweeps.results._setting import Setting


class Rate(NamedTuple):
    """A lower rate to try, in words and as a number; None without a learning rate."""

    text: str
    rate: float | None


class Change(NamedTuple):
    """Better numbers for the same combination.

    Attributes:
        cause: "rate" if the learning rate alone differs, else "settings".
        fault: what is wrong, in words.
        gain: what the better numbers reach, in words.
        remedies: the change as code.
    """

    cause: str
    fault: str
    gain: str
    remedies: tuple[Remedy, ...]


def rate_column(setting: Setting, numbers: Collection[str]) -> str | None:
    """The column with the learning rate of a setting, among those of numbers; None if it is not swept."""
    names = (name for name in numbers if name.rpartition(".")[2] == "learning_rate")
    return next((name for name in names if setting.columns[name] is not None), None)


def lower_rate(setting: Setting, alike: Sequence[Setting], numbers: Collection[str]) -> Rate:
    """The largest lower rate of the same combination with which no seed diverged; without one a tenth of the rate.

    Args:
        setting: one of which a seed diverged.
        alike: the settings of the same combination, itself included.
        numbers: the columns of numbers.
    """
    name = rate_column(setting, numbers)
    if name is None:
        return Rate("", None)
    rate, same = setting.columns[name], [s for s in alike if s.columns[name] is not None]
    safe = [s.columns[name] for s in same if s.columns[name] < rate and not s.diverged and s.step]
    lowest = min(s.columns[name] for s in same if s.diverged)
    if safe and max(safe) < lowest:
        return Rate(f" or a rate below {lowest:.3g}: {max(safe):.3g} did not diverge", max(safe))
    return Rate(f" or a rate below {lowest:.3g}", lowest / 10)


def clipped(threshold: float, lower: Rate) -> tuple[Remedy, ...]:
    """Clipping before the optimizer, with a lower rate."""
    code = f"tx = opt.chain(opt.clip_by_global_norm({threshold!r}), tx)"
    if lower.rate is None:
        return (Remedy("clip gradients", code),)
    rate = f"learning_rate = {lower.rate:.3g}"
    return Remedy("clip gradients and lower the rate", f"{rate}\n{code}"), Remedy("lower the rate", rate)


def better_numbers(setting: Setting, leader: Setting, numbers: Collection[str], objective: str) -> Change | None:
    """That the leader of the same combination has better numbers; None if none of them is swept.

    Args:
        setting: a setting that lost to its leader.
        leader: the best setting of the same combination.
        numbers: the columns of numbers.
        objective: the score by which they are compared.
    """
    ours, theirs = setting.columns, leader.columns
    changed = {name: theirs[name] for name in numbers if theirs[name] != ours[name]}
    if not changed or None in changed.values():
        return None
    words = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in changed.items())
    cause, fault = "settings", "other settings of the same combination are better"
    if list(changed) == [rate_column(setting, numbers)]:
        ((name, better),) = changed.items()
        side = "low" if ours[name] < better else "high"
        cause, fault, words = "rate", f"{name.replace('_', ' ')} {ours[name]:.3g} is too {side}", f"{better:.3g}"
    scores = [s.scores[objective].mean for s in (leader, setting)]
    reached = f"{objective.replace('_', ' ')} {scores[0]:.3g}, not {scores[1]:.3g}"
    code = "\n".join(f"{name} = {_number(value)}" for name, value in changed.items())
    return Change(cause, fault, f"with {words} the same reaches {reached}", (Remedy("use the better numbers", code),))


def _number(value: Any) -> str:
    """A number as code: whole ones in full."""
    return repr(value) if isinstance(value, int) else f"{float(value):.6g}"
