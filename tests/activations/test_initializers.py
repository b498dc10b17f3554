"""Initial weights: moments, orthogonality and mean squares of what passes through them."""

import doctest
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxopt_lite.activations import Shaped, gain, initializers, relu

SHAPES = [(16, 16), (8, 24), (24, 8), (1, 8), (8, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_or_columns_are_orthonormal(shape: tuple[int, int]) -> None:
    n, m = shape
    kernel = np.asarray(initializers.orthogonal()(jax.random.key(0), shape), np.float64)
    product = kernel @ kernel.T / max(1, m / n) if n <= m else kernel.T @ kernel
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("init", [initializers.orthogonal(2.0), initializers.normal(2.0)])
def test_mean_squares_are_multiplied_by_the_squared_gain(init, shape: tuple[int, int]) -> None:
    kernels = jax.vmap(lambda key: init(key, shape))(jax.random.split(jax.random.key(0), 1000))
    x = jax.random.normal(jax.random.key(1), (1000, shape[0]))
    y = jnp.einsum("ki,kij->kj", x, kernels)
    assert float(jnp.mean(y**2) / jnp.mean(x**2)) == pytest.approx(4.0, rel=0.2)


def test_the_distribution_has_no_preferred_direction() -> None:
    kernels = jax.vmap(lambda key: initializers.orthogonal()(key, (2, 2)))(jax.random.split(jax.random.key(0), 1000))
    np.testing.assert_allclose(kernels.mean(0), 0, atol=0.08)
    np.testing.assert_allclose((kernels**2).mean(0), 0.5, atol=0.05)


@pytest.mark.parametrize("window", [(3,), (3, 3), (2, 4), (1, 1, 5)])
def test_a_convolution_keeps_mean_squares_at_the_borders_too(window: tuple[int, ...]) -> None:
    kernel = initializers.orthogonal()(jax.random.key(0), (*window, 16, 32))
    x = jax.random.normal(jax.random.key(1), (2, *(6,) * len(window), 16))
    letters = "DHW"[: len(window)]
    dimensions = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    y = jax.lax.conv_general_dilated(x, kernel, (1,) * len(window), "SAME", dimension_numbers=dimensions)
    np.testing.assert_allclose((y**2).mean(-1), (x**2).mean(-1), rtol=1e-4)  # at every place of every image


def test_normal_weights_have_variance_gain_squared_over_fan_in() -> None:
    kernel = initializers.normal(gain(relu))(jax.random.key(0), (3, 3, 32, 64))
    assert float(kernel.var() * 3 * 3 * 32) == pytest.approx(2.0, rel=0.03)
    assert abs(float(kernel.mean())) < 1e-3


@pytest.mark.parametrize("init", [initializers.orthogonal(), initializers.normal()])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtypes(init, dtype) -> None:
    kernel = init(jax.random.key(0), (4, 6), dtype)
    assert kernel.dtype == dtype and kernel.shape == (4, 6)
    np.testing.assert_array_equal(kernel, init(jax.random.key(0), (4, 6)).astype(dtype))


@pytest.mark.parametrize("init", [initializers.orthogonal(), initializers.normal()])
def test_flax_accepts_them(init) -> None:
    dense = nnx.Linear(4, 6, kernel_init=init, rngs=nnx.Rngs(0))
    assert dense.kernel[...].shape == (4, 6)
    heads = nnx.LinearGeneral(4, (2, 3), kernel_init=init, rngs=nnx.Rngs(0))
    assert heads.kernel[...].shape == (4, 2, 3)
    conv = nnx.Conv(4, 8, (3, 3), kernel_init=init, rngs=nnx.Rngs(0))
    assert conv.kernel[...].shape == (3, 3, 4, 8)
    variables = linen.Dense(6, kernel_init=init).init(jax.random.key(0), jnp.ones((1, 4)))
    assert variables["params"]["kernel"].shape == (4, 6)


def test_a_bias_is_refused() -> None:
    message = r"initializers.orthogonal: shape \(5,\) is no kernel of shape \(..., in, out\); use jax.nn.initializers"
    with pytest.raises(ValueError, match=message):
        initializers.orthogonal()(jax.random.key(0), (5,))


@pytest.mark.parametrize("thing", [initializers.orthogonal, initializers.normal, Shaped])
def test_examples_run(thing) -> None:
    module = sys.modules[thing.__module__]
    (case,) = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__, module=module, globs=dict(vars(module)))
    assert case.examples and doctest.DocTestRunner(verbose=False).run(case).failed == 0
