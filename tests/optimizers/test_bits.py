"""Random bits: every use, step, leaf and seed has a stream of its own; seeds are integers."""

import itertools
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers._bits import USES, Use, random_bits, stream

SEEDS = [0, 1, 2, -1, -2, 0.2, 0.9]


def test_streams_are_uncorrelated() -> None:
    """Bit by bit: the share of equal bits of each two streams is a half, within six standard deviations."""

    @jax.jit
    def bits(count: Any, leaf: Any, seed: Any) -> list[jax.Array]:
        return [random_bits(stream(count, leaf, use, seed), (512,)) for use in USES]

    assert set(USES) == set(get_args(Use))
    streams = [
        row
        for count, leaf, seed in itertools.product((0, 1, 2, 1000), (0, 1, 7), SEEDS)
        for row in bits(jnp.int32(count), leaf, jnp.float32(seed))
    ]
    signs = np.unpackbits(np.asarray(streams).view(np.uint8), axis=1).astype(np.float32) * 2 - 1
    correlations = signs @ signs.T / signs.shape[1]
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() < 6 / signs.shape[1] ** 0.5
    assert np.abs(signs.mean(1)).max() < 6 / signs.shape[1] ** 0.5


def test_parameters_do_not_reuse_the_bits_of_the_previous_second_moment() -> None:
    size = 4096
    tx = opt.stochastic_rounding(opt.adam(0.3 * 2**-7, nu_dtype=jnp.bfloat16))
    params, grads = jnp.full(size, 1.5, jnp.bfloat16), jnp.full(size, 1.002, jnp.float32)
    update = jax.jit(tx.update)
    updates, state = update(grads, tx.init(params), params)
    nu = np.asarray(state.inner.moments["nu"], np.float32)
    params = opt.apply_updates(params, updates)
    updates, _ = update(grads, state, params)
    moment_up, parameter_moved = nu > nu.min(), np.asarray(updates) != 0
    assert 0.2 < moment_up.mean() < 0.8 and 0.2 < parameter_moved.mean() < 0.8
    assert abs(np.corrcoef(moment_up, parameter_moved)[0, 1]) < 5 / size**0.5


def test_traced_seeds_that_differ_give_different_bits() -> None:
    keys = jax.vmap(lambda seed: stream(jnp.int32(3), 0, "parameters", seed))(jnp.array(SEEDS, jnp.float32))
    assert len(set(keys.tolist())) == len(SEEDS)
    assert stream(jnp.int32(3), 0, "codes", 0.0) == stream(jnp.int32(3), 0, "codes", -0.0)


@pytest.mark.parametrize("seed", [0, 3, -1, 2.0, np.int64(5), 2**24], ids=repr)
def test_seeds_are_integers(seed: Any) -> None:
    tx = opt.stochastic_rounding(opt.sgd(0.1), seed=seed)
    assert float(opt.settings(tx.init(jnp.ones(2)))["seed"]) == seed


@pytest.mark.parametrize("seed", [0.2, 0.9, -1.5, float("nan"), float("inf"), 2**24 + 1], ids=repr)
def test_other_numbers_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"stochastic_rounding: seed.* is not (an integer between|a number)"):
        opt.stochastic_rounding(opt.sgd(0.1), seed=seed)


@pytest.mark.parametrize("seed", [True, "1"], ids=repr)
def test_other_types_are_refused(seed: Any) -> None:
    with pytest.raises(TypeError, match=r"seed=.* is a (bool|str): give a number"):
        opt.stochastic_rounding(opt.sgd(0.1), seed=seed)
