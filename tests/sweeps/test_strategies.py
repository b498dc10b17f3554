"""Strategies as pure functions: which runs they ask for, whatever the order in which answers come."""

import math
import random
from itertools import pairwise

import pytest

from jaxopt_lite.sweeps import halving, hyperband, log_uniform, median, population
from jaxopt_lite.sweeps.strategies import History, Never, Order, Run
from jaxopt_lite.sweeps.strategies._halving import cost_of_one, divided, rungs_of
from jaxopt_lite.sweeps.strategies._simulate import simulated_steps

STEPS, SEEDS = 500, (0, 1, 2)
RULES = [
    Never(),
    halving(),
    halving(eta=2, first=1 / 8),
    halving(race=True),
    hyperband(),
    hyperband(eta=4, first=1 / 16, race=True),
    median(),
]


def score(trial, seed, step):
    """Trial 0 is the best; all trials get better, and seeds differ."""
    return 1 / (1 + trial) + step / STEPS + seed / 1000


def played(rule, trials=27, seeds=SEEDS, minimise=False, diverged=(), order=lambda orders: orders, steps=STEPS):
    """All runs when the rule has no more orders; `order` rearranges what is answered first."""
    sign = -1 if minimise else 1
    runs = {}
    history = History(steps, seeds, minimise, (tuple(range(trials)),), runs)
    while orders := rule.orders(history, range(trials)):
        assert len(set(orders)) == len(orders)
        answered = order(orders)
        for one in answered[: max(1, len(answered) // 2)]:  # interrupted halfway: the rest is asked for again
            before = runs.get((one.trial, one.seed), Run(False, 0, {}))
            assert before.step < one.step
            found = {**before.scores, one.step: sign * score(one.trial, one.seed, one.step)}
            runs[one.trial, one.seed] = Run((one.trial, one.seed) in diverged, one.step, found)
    return runs


def complete(runs, steps=STEPS):
    """The trials that reached the last step, with their seeds."""
    out = {}
    for (trial, seed), run in sorted(runs.items()):
        if run.step == steps and not run.diverged:
            out.setdefault(trial, []).append(seed)
    return out


def test_without_a_rule_every_run_goes_to_its_end():
    assert complete(played(Never(), 3)) == {0: [0, 1, 2], 1: [0, 1, 2], 2: [0, 1, 2]}


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_decisions_do_not_depend_on_the_order_of_answers(rule):
    shuffled = random.Random(5)
    expected = played(rule)
    for _ in range(3):
        assert played(rule, order=lambda orders: shuffled.sample(orders, len(orders))) == expected


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("minimise", [False, True])
def test_the_best_trial_reaches_the_end_with_all_seeds(rule, minimise):
    assert complete(played(rule, minimise=minimise))[0] == [0, 1, 2]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_run_is_scored_only_at_rungs(rule):
    rungs = rule.rungs(STEPS)
    assert list(rungs) == sorted(set(rungs)) and rungs[-1] == STEPS and rungs[0] >= 1
    assert {step for run in played(rule).values() for step in run.scores} <= set(rungs)


def test_halving_keeps_one_in_eta():
    runs = played(halving(eta=3, first=1 / 9), 27)
    reached = {rung: sum(run.step >= rung for run in runs.values()) for rung in (56, 167, 500)}
    assert reached == {56: 27 * 3, 167: 9 * 3, 500: 3 * 3}
    assert set(complete(runs)) == {0, 1, 2}


def test_racing_uses_one_seed_until_the_last_step():
    runs = played(halving(race=True), 81)
    assert {seed for (_, seed), run in runs.items() if run.step < STEPS} == {0}
    by_trial = complete(runs)
    assert [len(by_trial[trial]) for trial in sorted(by_trial)] == [3] * 3 + [1] * 6
    assert sum(run.step for run in runs.values()) == 81 * 56 + 27 * 111 + 9 * 333 + 3 * 2 * 500


def test_a_diverged_trial_does_not_continue():
    runs = played(halving(), 27, diverged={(0, 1)})
    assert runs[0, 0].step == 56
    assert set(complete(runs)) == {1, 2, 3}


def test_when_all_diverge_nothing_is_left():
    everything = {(trial, seed) for trial in range(5) for seed in SEEDS}
    for rule in RULES:
        assert complete(played(rule, 5, diverged=everything)) == {}


def test_the_median_rule_stops_about_half():
    runs = played(median(first=1 / 4, every=1 / 4), 20)
    assert sorted(complete(runs)) == list(range(10))
    assert runs[19, 0].step == 125


def test_the_median_counts_stopped_trials_with_their_best_score():
    """A trial that is worse than all that were stopped before is stopped later."""
    rule, runs = median(first=1 / 4, every=1 / 4), {}
    costs = {0: [0.1] * 4, 1: [0.2, 0.2, 0.2, 0.2], 2: [0.9, 0.1, 0.1, 0.1], 3: [0.8] * 4}
    history = History(400, (0,), True, ((0, 1, 2, 3),), runs)
    while orders := rule.orders(history, range(4)):
        for one in orders:
            before = runs.get((one.trial, 0), Run(False, 0, {}))
            scores = {**before.scores, one.step: costs[one.trial][one.step // 100 - 1]}
            runs[one.trial, 0] = Run(False, one.step, scores)
    assert [runs[trial, 0].step for trial in range(4)] == [400, 400, 100, 100]


def test_hyperband_gives_each_bracket_about_the_same_steps():
    rungs = hyperband(eta=3, first=1 / 27).rungs(2700)
    assert rungs == (100, 300, 900, 2700)
    brackets = [rungs[nth:] for nth in range(4)]
    members = divided(range(400), brackets, 3)
    assert sorted(trial for own in members for trial in own) == list(range(400))
    steps = [len(own) * cost_of_one(bracket, 3) for own, bracket in zip(members, brackets, strict=True)]
    assert max(steps) < 1.2 * min(steps)
    assert [own[: len(few)] for own, few in zip(members, divided(range(100), brackets, 3), strict=True)] == list(
        divided(range(100), brackets, 3)
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100, 500, 1000, 12345])
@pytest.mark.parametrize("eta", [1.5, 2, 3, 4.5])
def test_rungs_grow_by_eta_and_end_at_the_last_step(steps, eta):
    rungs = rungs_of(steps, 1 / 9, eta)
    assert rungs[-1] == steps
    assert list(rungs) == sorted(set(rungs))
    assert steps < 100 or all(b / a > math.sqrt(eta) * 0.9 for a, b in pairwise(rungs))


def test_the_expected_steps_are_those_that_are_made():
    for rule in (Never(), halving(), halving(race=True), hyperband()):
        made = sum(run.step for run in played(rule, 40).values())
        assert simulated_steps(rule, STEPS, SEEDS, 40) == made


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: halving(eta=1), "eta above 1"),
        (lambda: halving(eta=math.inf), "eta above 1"),
        (lambda: halving(eta=True), "eta above 1"),
        (lambda: halving(first=0), "between 0 and 1"),
        (lambda: halving(first=1.0), "between 0 and 1"),
        (lambda: halving(first=1 / 9).rungs(4), "below one step of 4"),
        (lambda: hyperband(eta="3"), "eta above 1"),
        (lambda: median(first=2), "between 0 and 1"),
        (lambda: median(every=0), "between 0 and 1"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_order_names_a_run_and_a_step():
    history = History(100, (7,), True, ((0, 1),), {(0, 7): Run(False, 11, {11: 0.5})})
    assert halving().orders(history, (0, 1)) == [Order(1, 7, 11)]


@pytest.mark.parametrize("members, diverged", [(8, (0, 1, 2, 3, 4)), (3, ()), (7, ())])
def test_a_member_that_is_copied_is_not_replaced(members, diverged):
    rule = population(members, every=10, quantile=0.5)
    scores = {trial: {} if trial in diverged else {10: float(trial)} for trial in range(members)}
    runs = {(trial, 0): Run(trial in diverged, 10, found) for trial, found in scores.items()}
    history = History(40, (0,), True, (tuple(range(members)),), runs)
    space = {"rate": log_uniform(1e-3, 1.0)}
    for seed in range(20):
        found = rule.adoptions(space, seed, history, range(members), lambda trial: {})
        sources = {one.source for one in found if one.source != one.trial}
        replaced = {one.trial for one in found if one.source != one.trial}
        assert sources and not sources & replaced
        assert replaced >= set(diverged)
