"""Which parameters a run is evaluated with."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers
from jaxopt_lite.training._averaged import evaluated


def test_an_average_inside_compress_is_evaluated():
    params = jnp.ones(512)
    state = optimizers.compress(optimizers.average(optimizers.sgd(0.1))).init(params)
    np.testing.assert_allclose(evaluated(state, jnp.zeros(512)), params)
    np.testing.assert_array_equal(evaluated(optimizers.sgd(0.1).init(params), params), params)


def test_an_average_of_other_parameters_is_an_error():
    state = optimizers.average(optimizers.sgd(0.1)).init({"flat": jnp.ones(3)})
    with pytest.raises(ValueError, match="averages 'flat', which the parameters lack"):
        evaluated(state, {"w": jnp.ones(3)})
