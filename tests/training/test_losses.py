"""Losses by name in half precision and in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import _losses

REFERENCES = {
    "cross_entropy": lambda outputs, y: optax.softmax_cross_entropy_with_integer_labels(outputs, y.astype(jnp.int32)),
    "binary_cross_entropy": lambda outputs, y: optax.sigmoid_binary_cross_entropy(
        outputs.reshape(2), y.reshape(2).astype(outputs.dtype)
    ),
    "mse": lambda outputs, y: jnp.square(outputs - y).reshape(2, -1).mean(axis=1),
}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize(
    "loss, outputs, y, expected",
    [
        ("cross_entropy", [[10.0, 0.0, 0.0]], [0], np.log1p(2 * np.exp(-10.0))),
        ("binary_cross_entropy", [[-8.0]], [1], np.log1p(np.exp(8.0))),
        ("mse", [[300.0]], [[0.0]], 9e4),
        ("mse", [[300.0]], [[0]], 9e4),
    ],
)
def test_half_precision_is_computed_in_float32(loss, outputs, y, expected, dtype):
    y = jnp.asarray(y, dtype if loss == "mse" and isinstance(y[0][0], float) else jnp.int32)
    found = _losses.per_example(_losses.named(loss), jnp.asarray(outputs, dtype), y)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, [expected], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", REFERENCES)
def test_the_program_in_float32_has_no_conversion(loss):
    shape = (2, 3) if loss != "binary_cross_entropy" else (2, 1)
    outputs, y = jnp.ones(shape), jnp.ones(shape) if loss == "mse" else jnp.ones(2, jnp.int32)
    program = jax.make_jaxpr(lambda outputs, y: _losses.per_example(_losses.named(loss), outputs, y))(outputs, y)
    assert str(program) == str(jax.make_jaxpr(REFERENCES[loss])(outputs, y))
