"""What a rule will cost, found by running it on made-up scores."""

import random
from functools import lru_cache

from jaxopt_lite.sweeps.strategies._history import History, Run, Stop


@lru_cache(maxsize=64)
def simulated_steps(stop: Stop, steps: int, seeds: tuple[int, ...], trials: int) -> int:
    """The steps that a batch of trials makes under a rule, if no run diverges and scores are random but do not change.

    Args:
        stop: the rule.
        steps: steps of a complete run.
        seeds: the seeds.
        trials: number of trials in the batch.
    """
    numbers = random.Random(0)
    level = [numbers.random() for _ in range(trials)]
    runs: dict[tuple[int, int], Run] = {}
    history = History(steps, seeds, True, (tuple(range(trials)),), runs)
    while orders := stop.orders(history, range(trials)):
        for order in orders:
            before = runs.get((order.trial, order.seed), Run(False, 0, {}))
            scores = {**before.scores, order.step: level[order.trial]}
            runs[order.trial, order.seed] = Run(False, order.step, scores)
    return sum(run.step for run in runs.values())
