"""What to change in a setting that lost, from the settings of the same sweep that did better."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from jaxopt_lite.diagnostics import Remedy
from jaxopt_lite.sweeps.results._setting import Setting

if TYPE_CHECKING:
    from jaxopt_lite.sweeps.results._results import Results


class Rate(NamedTuple):
    """A lower rate to try, in words and as a number; None without a learning rate."""

    text: str
    rate: float | None


class Change(NamedTuple):
    """A better rate: that this one is too low or too high, what the better one reaches, and the change as code."""

    fault: str
    gain: str
    remedies: tuple[Remedy, ...]


def rate_column(results: "Results", setting: Setting) -> str | None:
    """The column with the learning rate of a setting; None if it is not swept."""
    names = (name for name in results.ranges if name.rpartition(".")[2] == "learning_rate")
    return next((name for name in names if setting.columns[name] is not None), None)


def lower_rate(results: "Results", setting: Setting, settings: Sequence[Setting]) -> Rate:
    """The largest lower rate of the same combination with which no seed diverged; without one a tenth of the rate."""
    name = rate_column(results, setting)
    if name is None:
        return Rate("", None)
    rate = setting.columns[name]
    same = [s for s in settings if _kind(results, s) == _kind(results, setting) and s.columns[name] is not None]
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


def of_rate(results: "Results", setting: Setting, leader: Setting) -> Change | None:
    """That the leader of the same combination has a better rate; None if the rates are equal or not swept."""
    name = rate_column(results, setting)
    if name is None or leader.columns[name] in (None, setting.columns[name]):
        return None
    rate, better, objective = setting.columns[name], leader.columns[name], results.objective
    side = "low" if rate < better else "high"
    scores = [s.scores[objective].mean for s in (leader, setting)]
    fault = f"{name.replace('_', ' ')} {rate:.3g} is too {side}"
    gain = f"with {better:.3g} the same reaches {objective.replace('_', ' ')} {scores[0]:.3g}, not {scores[1]:.3g}"
    return Change(fault, gain, (Remedy("use the better rate", f"learning_rate = {better:.3g}"),))


def _kind(results: "Results", setting: Setting) -> tuple[object, ...]:
    return tuple(value for name, value in setting.columns.items() if name not in results.ranges)
