"""The ranges of the swept numbers, and on which scale they are even."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lite.sweeps.spaces._space import Distribution, Integers, LogUniform, Uniform
from jaxopt_lite.sweeps.spaces._trials import names_of, places


class Range(NamedTuple):
    """Where the numbers of a column lie.

    Attributes:
        low: the lowest number that can be drawn, or that was listed.
        high: the highest.
        log: whether they are spread evenly on a logarithmic scale (`log_uniform`), rather than on a linear one.
        whole: whether they are whole numbers.

    Example:
        >>> Range(1e-4, 1e-1, log=True, whole=False).log
        True
    """

    low: float
    high: float
    log: bool
    whole: bool


def drawn_ranges(space: Any) -> dict[str, Range]:
    """The ranges of a space by the names of their columns; of one column in several alternatives, the range of all.

    Columns with listed numbers (`values`) are absent: whether these are even on a logarithmic scale is not stated.
    """
    leaves = {place.path: place.leaf for place in places(space)}
    named: dict[str, list[Any]] = {}
    for path, name in names_of(space).items():
        if isinstance(leaves[path], Distribution):
            named.setdefault(name, []).append(leaves[path])
    return {
        name: Range(
            min(leaf.low for leaf in found),
            max(leaf.high for leaf in found),
            all(isinstance(leaf, LogUniform) for leaf in found),
            all(isinstance(leaf, Integers) for leaf in found),
        )
        for name, found in named.items()
        if all(isinstance(leaf, Uniform | LogUniform | Integers) for leaf in found)
    }


def range_of(numbers: Iterable[float], drawn: Range | None = None) -> Range:
    """The range of some numbers.

    Args:
        numbers: at least one.
        drawn: the range from which they were drawn, if it is known. Else they are taken to be even on the scale on
            which they are more evenly spread.
    """
    given = list(numbers)
    values = np.unique(np.array(given, float))
    low, high = values[0].item(), values[-1].item()
    if drawn is not None:
        return drawn._replace(low=min(low, drawn.low), high=max(high, drawn.high))
    log = bool(low > 0 and _unevenness(np.log(values)) < _unevenness(values))
    return Range(low, high, log, all(isinstance(x, int) for x in given))


def _unevenness(values: np.ndarray) -> float:
    """The largest distance of some different values from equally spaced ones, in units of their range."""
    places = (values - values[0]) / ((values[-1] - values[0]) or 1.0)
    return float(np.abs(places - np.linspace(0, 1, len(values))).max())
