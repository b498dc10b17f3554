"""Times of programs that take turns, as ratios, so that other load on the machine affects all alike."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from experiment import Interval


def seconds(programs: Mapping[str, Callable[[], Any]], rounds: int, repeats: int = 1) -> dict[str, np.ndarray]:
    """Seconds of each program in each round; the programs take turns, and a first round warms up.

    Args:
        programs: functions without arguments that return arrays.
        rounds: how many times each is timed.
        repeats: calls of a program in one timing; the time is that of one call.
    """
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, run in programs.items():
            begin = time.perf_counter()
            for _ in range(repeats):
                jax.block_until_ready(run())
            if turn:
                taken[name].append((time.perf_counter() - begin) / repeats)
    return {name: np.array(times) for name, times in taken.items()}


def median(values: np.ndarray) -> Interval:
    """The median with its 95 % interval from the order of the values."""
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, float))
    low = max(int(binom.ppf(0.025, len(ordered), 0.5)) - 1, 0)
    return Interval(float(np.median(ordered)), float(ordered[low]), float(ordered[len(ordered) - 1 - low]))


def ratio(times: Mapping[str, np.ndarray], a: str, b: str) -> Interval:
    """The median over rounds of the time of a divided by that of b in the same round."""
    return median(times[a] / times[b])
