"""Numbers as text, rounded to the digits that their intervals support."""

import math
import statistics
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Mean

NONE = "–"
GRID = 16  # more values than this in a column were drawn, not listed


def supported_decimals(half_width: float) -> int | None:
    """Decimals that an interval of this half width supports, or None for 0, NaN or infinity.

    Two digits of the half width where they are between 10 and 35, else one: 0.0261 supports 3 decimals, 0.0069 also 3,
    0.05 two (the rule of the Particle Data Group, so that rounding costs at most a few percent of the interval).
    """
    if not math.isfinite(half_width) or half_width <= 0:
        return None
    exponent = math.floor(math.log10(half_width))
    leading = half_width / 10.0**exponent
    if leading >= 9.5:
        exponent, leading = exponent + 1, 1.0
    return max(0, (1 if leading < 3.55 else 0) - exponent)


def decimals_of(mean: "Mean") -> int | None:
    """Decimals that the interval of a mean supports; None where seeds agree up to rounding."""
    return supported_decimals(mean.half_width) if varies(mean) else None


def varies(mean: "Mean") -> bool:
    """Whether seeds differ by more than rounding."""
    return mean.half_width > 1e-9 * abs(mean.mean)


def usual_decimals(means: Iterable["Mean"]) -> int | None:
    """The median of what the intervals of a column support; None where there is not one interval."""
    known = [d for d in (decimals_of(m) for m in means) if d is not None]
    return statistics.median_low(known) if known else None


def interval(mean: "Mean", usual: int | None = None) -> str:
    """`0.977 ± 0.011`, rounded to what the interval supports; the mean alone where there is no interval.

    `usual` is the number of decimals for a mean of one seed, or of seeds that agree.
    """
    if not math.isfinite(mean.mean):
        return NONE
    decimals = decimals_of(mean)
    if decimals is None:
        decimals = usual
    value = brief(mean.mean, decimals)
    if not math.isfinite(mean.half_width):
        return value
    width = brief(mean.half_width, decimals) if varies(mean) or decimals is not None else "0"
    return f"{value} ± {width}"


def brief(value: float, decimals: int | None = None) -> str:
    """A number with so many decimals, or with four digits; NaN is a dash."""
    if not math.isfinite(value):
        return NONE
    if decimals is None:
        return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.{decimals}f}"


def setting_label(value: Any) -> str:
    """A value of a swept column: numbers to three digits, names as they are, nothing as a dash."""
    if value is None:
        return NONE
    if isinstance(value, float):
        return NONE if math.isnan(value) else f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    return str(value)


def setting_labels(values: Iterable[Any]) -> dict[Any, str]:
    """A label for each value, with three digits, or as many as make a few listed numbers different."""
    different = list(dict.fromkeys(values))
    labels = {value: setting_label(value) for value in different}
    for digits in range(4, 18):
        if len(different) > GRID or len(set(labels.values())) == len(labels):
            break
        labels = {v: f"{v:.{digits}g}" if isinstance(v, float) else setting_label(v) for v in different}
    return labels


def title(text: str) -> str:
    """Text with a capital first letter; a symbol or an abbreviation, such as `f` or `MSE`, stays as it is."""
    return text[0].upper() + text[1:] if len(text) > 1 else text


def seconds(value: float) -> str:
    """A duration: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
