"""Every setting of guard changes what it says it changes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers.wrappers._guard import LARGEST_SCALE

NORMS = [1.0, 1.5, 0.5, 4.0, 3.0, 0.1, 0.2, 7.0]


def run(tx: Any, norms: Any) -> list[Any]:
    """The states after gradients of these norms."""
    state, states = tx.init(jnp.ones(1)), []
    for norm in norms:
        _, state = tx.update(jnp.full(1, norm) * opt.loss_scale_of(state), state)
        states.append(state)
    return states


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.98])
def test_decay_of_the_running_norm(decay: float) -> None:
    mean, means = 0.0, []
    for t, norm in enumerate(NORMS):
        mean += max(1 / (t + 1), 1 - decay) * (norm - mean)
        means.append(mean)
    states = run(opt.guard(opt.sgd(0.1), decay=decay), NORMS)
    np.testing.assert_allclose([state.norm for state in states], means, rtol=1e-6)


@pytest.mark.parametrize("max_spike, skipped", [(2.0, 1), (4.0, 0)])
def test_max_spike(max_spike: float, skipped: int) -> None:
    states = run(opt.guard(opt.sgd(0.1), max_spike=max_spike, warmup=2), [1, 1, 1, 3])
    assert int(states[-1].spikes) == int(states[-1].skipped) == skipped


@pytest.mark.parametrize("warmup, skipped", [(2, 1), (3, 1), (4, 0)])
def test_warmup(warmup: int, skipped: int) -> None:
    assert int(run(opt.guard(opt.sgd(0.1), max_spike=2.0, warmup=warmup), [1, 1, 1, 30])[-1].spikes) == skipped


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience(patience: int) -> None:
    states = run(opt.guard(opt.sgd(0.1), max_spike=2.0, warmup=1, patience=patience), [1, 30, 30, 30, 30])
    assert int(states[-1].spikes) == patience


@pytest.mark.parametrize("growth_interval", [1, 2, 3])
def test_growth_interval(growth_interval: int) -> None:
    states = run(opt.guard(opt.sgd(0.1), loss_scale=4.0, growth_interval=growth_interval), [1] * 6)
    assert float(opt.loss_scale_of(states[-1])) == 4 * 2 ** (6 // growth_interval)


def test_the_loss_scale_has_a_ceiling_and_a_floor() -> None:
    grown = run(opt.guard(opt.sgd(0.1), loss_scale=LARGEST_SCALE / 2, growth_interval=1), [1] * 3)
    assert [float(opt.loss_scale_of(s)) for s in grown] == [LARGEST_SCALE] * 3 and LARGEST_SCALE == 2**24
    shrunk = run(opt.guard(opt.sgd(0.1), loss_scale=4.0), [jnp.inf] * 4)
    assert [float(opt.loss_scale_of(s)) for s in shrunk] == [2, 1, 1, 1]


def test_with_settings_changes_the_loss_scale() -> None:
    tx = opt.guard(opt.sgd(1.0), loss_scale=8.0)
    state = opt.with_settings(tx.init(jnp.ones(1)), loss_scale=64)
    assert float(opt.loss_scale_of(state)) == 64
    updates, after = tx.update(jnp.full(1, 64.0), state)
    assert float(updates[0]) == -1 and float(opt.settings(after)["loss_scale"]) == 64
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_the_loss_scale_is_no_schedule() -> None:
    for schedule in (opt.constant_schedule(8.0), lambda count: 8.0):
        with pytest.raises(TypeError, match=r"guard: loss_scale=.* must be a number: it halves and doubles"):
            opt.guard(opt.sgd(0.1), loss_scale=schedule)
