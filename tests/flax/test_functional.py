"""A module as two pure functions of arrays."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxopt_lite.flax._functional import initialise, outputs

X = jnp.ones((2, 3))


def test_a_linen_module_without_parameters() -> None:
    def build(trial, rngs):
        return nn.Sequential([nn.relu])

    weights = initialise(build, None, X, jax.random.key(0))
    assert weights == ({}, {})
    for train in (False, True):
        y, state = outputs(build, None, weights, X, jax.random.key(1), train=train)
        assert y.shape == X.shape and state == {}
