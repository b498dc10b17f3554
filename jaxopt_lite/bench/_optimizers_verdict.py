"""What `bench optimizers` predicts, which of it holds, and every row in which ours is slower or larger."""

import math
from collections.abc import Callable
from typing import Any

Outcome = tuple[str, bool]  # what was measured, and whether the prediction holds


def predictions(figures: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Each prediction about a measured section: its text, what was measured, and whether it holds."""
    return [(text, *check(figures[section])) for section, text, check in PREDICTIONS if section in figures]


def losses(figures: dict[str, Any]) -> dict[str, list[str]]:
    """Rows in which ours is slower or larger than optax or torch, with the ratio, by what is compared."""
    out: dict[str, list[str]] = {}
    for what, ratios in _comparisons(figures).items():
        lost = [f"{name} {ratio:.2f}" for name, ratio in ratios.items() if round(ratio, 2) > 1]
        if lost:
            out[what] = lost
    return out


def _comparisons(figures: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Ratios of ours to a rival's: by what is compared, then by row."""
    out: dict[str, dict[str, float]] = {}
    for key in ("bytes", "flops", "temporary", "state"):
        compiled = figures.get("facts", {})
        out[f"{key} per entry of the compiled step, over optax's"] = {
            name: _ratio(row["ours"][key], row["optax"][key]) for name, row in compiled.items()
        }
    for rival in ("optax", "torch"):
        out[f"time on a large leaf, over {rival}'s"] = _times(figures.get("large", {}), "ours", rival)
    for way in ("eager", "jitted", "donated"):
        small = figures.get("small", {})
        out[f"time on a small tree, {way}, over optax's"] = _times(small, f"ours {way}", f"optax {way}")
    out["time on a small tree, donated, over torch's"] = _times(figures.get("small", {}), "ours donated", "torch")
    if "accumulate" in figures:
        ours, optax = figures["accumulate"]["ours"], figures["accumulate"]["optax"]
        out["time of a micro-step, over that of optax.MultiSteps"] = {
            part: ours[part] / optax[part] for part in ("idle", "emitting")
        }
    return out


def _times(rows: dict[str, Any], ours: str, rival: str) -> dict[str, float]:
    return {name: row[ours] / row[rival] for name, row in rows.items() if row.get(rival)}


def _ratio(ours: float, rival: float) -> float:
    """Their ratio, where less than a hundredth of a byte or flop per entry counts as none."""
    if rival < 0.01:
        return math.inf if ours >= 0.01 else 1.0
    return ours / rival


def _worst(ratios: dict[str, float]) -> tuple[str, float]:
    return max(ratios.items(), key=lambda item: item[1], default=("none", 0.0))


def _at_most(bound: float, *comparisons: tuple[str, Callable[[Any], dict[str, float]]]) -> Callable[[Any], Outcome]:
    """A check that the worst ratio of each comparison is at most `bound`."""

    def check(section: Any) -> Outcome:
        worst = {rival: _worst(ratios(section)) for rival, ratios in comparisons}
        text = "; ".join(f"at most {ratio:.2f} × {rival} ({name})" for rival, (name, ratio) in worst.items() if ratio)
        return text, all(round(ratio, 2) <= bound for _, ratio in worst.values())

    return check


def _compiled(key: str) -> Callable[[Any], dict[str, float]]:
    return lambda rows: {name: _ratio(row["ours"][key], row["optax"][key]) for name, row in rows.items()}


def _against(ours: str, rival: str) -> Callable[[Any], dict[str, float]]:
    return lambda rows: _times(rows, ours, rival)


def _traces(section: Any) -> Outcome:
    counts = [ours for ours, _ in section.values() if ours is not None]
    return f"at most {max(counts)}", max(counts) == 1


def _faults(section: Any) -> Outcome:
    bad = sum(ours for kinds in section["grid"].values() for ours, _ in kinds.values())
    return f"{bad} non-finite updates", bad == 0


def _accumulate(section: Any) -> Outcome:
    ours, optax = section["ours"], section["optax"]
    idle, emitting = ours["idle"] / ours["axpy"], ours["emitting"] / optax["emitting"]
    return f"idle {idle:.2f} × an axpy, emitting {emitting:.2f} × optax's", idle <= 1.5 and emitting <= 1.1


def _rows(section: Any) -> Outcome:
    ratio = section["rows"] / section["dense"]
    return f"{ratio:.4f} of the dense step", ratio < 0.1


def _half(section: Any) -> Outcome:
    ratio = section["stochastic_rounding"] / section["nearest"]
    return f"{ratio:.2f} × rounding to nearest", ratio <= 2


def _state(section: Any) -> Outcome:
    size = section["compress(adam)"]
    return f"{size:.3f} bytes per entry", size <= 2.1


def _training(section: Any) -> Outcome:
    changes = {
        f"{way}, {task}": abs(row[way] / row["float32"] - 1)
        for task, row in section.items()
        for way in ("stochastic_rounding", "split_master")
    }
    name, change = _worst(changes)
    return f"at most {change:.1%} ({name})", change <= 0.05


PREDICTIONS: list[tuple[str, str, Callable[[Any], Outcome]]] = [
    (
        "facts",
        "The compiled step moves at most as many bytes as optax's and needs at most as much temporary memory",
        _at_most(1.0, ("optax's bytes", _compiled("bytes")), ("optax's temporary", _compiled("temporary"))),
    ),
    ("traces", "Eight settings are traced once, however they reach the step", _traces),
    ("faults", "No optimizer gives a non-finite update for a zero, tiny or huge gradient", _faults),
    (
        "large",
        "A large leaf is limited by memory, so a step takes at most 1.1 × the time of optax's and of torch's fused one",
        _at_most(1.1, ("optax", _against("ours", "optax")), ("torch", _against("ours", "torch"))),
    ),
    (
        "small",
        "An eager step of a small tree is at least as fast as optax's, because it is one compiled program",
        _at_most(1.0, ("optax", _against("ours eager", "optax eager"))),
    ),
    (
        "small",
        "Jitted with donation, a step of a small tree takes at most 1.1 × the time of optax's",
        _at_most(1.1, ("optax", _against("ours donated", "optax donated"))),
    ),
    (
        "accumulate",
        "An idle micro-step is one addition, at most 1.5 × an axpy; an emitting one takes at most 1.1 × optax's time",
        _accumulate,
    ),
    ("rows", "A step on the used rows takes less than a tenth of the dense step", _rows),
    ("half", "Stochastic rounding at most doubles the time of a step in bfloat16", _half),
    ("state", "`compress(adam)` keeps at most 2.1 bytes per entry", _state),
    ("training", "With stochastic rounding or a split master the final loss is within 5 % of float32's", _training),
]
