"""An optimizer refuses the state of another one whose settings or moments differ, with one clear error."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.optimizer_cases import CASES

PARAMS = {"w": jnp.ones((2, 3))}
STATES = {name: case(0.1).init(PARAMS) for name, case in CASES.items()}


def kept(state: Any) -> tuple[set[str], set[str]]:
    return set(state.settings), set(state.moments)


PAIRS = [(a, b) for a, b in itertools.permutations(CASES, 2)]


def test_every_pair_of_optimizers() -> None:
    refused = 0
    for mine, other in PAIRS:
        update, state = CASES[mine](0.1).update, STATES[other]
        if kept(STATES[mine]) == kept(state):
            jax.eval_shape(update, PARAMS, state, PARAMS)
            continue
        refused += 1
        with pytest.raises(TypeError, match=r"\.update was given the state of another optimizer, with settings .*swap"):
            update(PARAMS, state, PARAMS)
    assert refused > len(PAIRS) // 2


WRONG: dict[str, tuple[Any, Any, str]] = {
    "sgd to adamw": (opt.adamw(0.1), STATES["sgd"], "settings learning_rate and moments none: it needs settings b1"),
    "adam to sgd": (
        opt.sgd(0.1),
        STATES["adam"],
        "and moments mu, nu: it needs settings learning_rate and moments none",
    ),
    "adamw to adam": (opt.adam(0.1), STATES["adamw"], "learning_rate, weight_decay and moments"),
    "optax": (opt.adam(0.1), optax.adam(0.1).init(PARAMS), r"a state of tuple: .*from_optax\(tx, state, params\)"),
    "dictionary": (opt.adam(0.1), STATES["adam"]._asdict(), "a state of dict: it needs settings"),
    "schedule": (opt.sgd(lambda count: 0.1), STATES["adam"], "sgd.update was given the state of another optimizer"),
    "chain": (opt.chain(opt.sgd(0.1)), (STATES["adam"],), "sgd.update was given the state of another optimizer"),
    "guard": (opt.guard(opt.sgd(0.1)), STATES["sgd"], "guard.update was given the state of another optimizer"),
    "lift": (opt.lift(optax.lamb)(0.1), STATES["sgd"], "lamb.update was given the state of another optimizer"),
}


@pytest.mark.parametrize("tx, state, message", WRONG.values(), ids=WRONG.keys())
def test_message(tx: Any, state: Any, message: str) -> None:
    for update in (tx.update, jax.jit(tx.update)):
        with pytest.raises(TypeError, match=message):
            update(PARAMS, state, PARAMS)
