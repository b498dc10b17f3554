"""Differences between two settings, paired by seed."""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from jaxopt_lite._names import interval_of

# Scores whose relative difference is below this differ by rounding only.
_ROUNDING = 1e-6


class Difference(NamedTuple):
    """The mean difference of a score between two settings over their common seeds, with a 95 % interval.

    Attributes:
        score: name of the score.
        mean: mean over the common seeds of the first setting's score minus the second's, in units of the score.
        half_width: half the width of the 95 % interval, in units of the score; NaN with a single common seed.
        seeds: the seeds with which both settings are done.
    """

    score: str
    mean: float
    half_width: float
    seeds: tuple[int, ...]

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width

    @property
    def distinct(self) -> bool:
        """Whether the interval excludes 0. False with a single common seed, which gives no interval."""
        return abs(self.mean) > self.half_width  # False for NaN

    def __format__(self, spec: str) -> str:
        return interval_of(self.mean, self.half_width, spec, sign="+")


def paired(score: str, a: Sequence[float], b: Sequence[float], seeds: Sequence[int], resolution: float) -> Difference:
    """The difference a − b of scores paired by seed.

    With d = a − b, n = len(d) and s its standard deviation (n − 1 in the denominator), the interval is
    mean(d) ± t(0.975, n − 1) max(s, resolution/√6)/√n. A score known in steps of `resolution` q has a rounding
    error of variance q²/12, and the difference of two one of q²/6: seeds that agree to the last step are no evidence of
    a smaller deviation. So the width is never 0.
    """
    d = np.asarray(a, float) - np.asarray(b, float)
    if len(d) < 2:
        return Difference(score, float(d.mean()), math.nan, tuple(seeds))
    deviation = max(float(d.std(ddof=1)), resolution / math.sqrt(6))
    return Difference(score, float(d.mean()), t_quantile(len(d) - 1) * deviation / math.sqrt(len(d)), tuple(seeds))


def resolution_of(scores: Sequence[float]) -> float:
    """The smallest step in which a score is seen to vary: 1/360 for an accuracy on 360 examples.

    It is the smallest distance between two of the given scores that exceeds their rounding (a relative 1e-6), or the
    rounding if no two differ.
    """
    values = np.unique(np.asarray(scores, float))
    values = values[np.isfinite(values)]
    sizes = np.abs(values)
    largest = float(sizes.max(initial=0.0)) or 1.0
    # that of the larger of two scores, and of 1 or the largest score: 1 - accuracy is rounded as 1 is
    scales = np.maximum(np.maximum(sizes[1:], sizes[:-1]), min(1.0, largest))
    gaps = np.diff(values)
    seen = gaps[gaps > _ROUNDING * scales]
    return float(seen.min()) if len(seen) else _ROUNDING * largest


@cache
def t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t distribution with this many degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))
