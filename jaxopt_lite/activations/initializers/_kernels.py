"""Initializers of kernels of shape (..., in, out), where leading axes are those of a convolution's window."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Initializer = Callable[..., jax.Array]


def orthogonal(gain: float = 1.0) -> Initializer:
    """Orthogonal matrices, which keep the lengths of all signals and gradients, not only the mean over weights.

    The kernel (n, m) of a dense layer has orthonormal rows or columns, whichever are fewer, times
    gain × sqrt(max(1, m / n)). So the mean square of the m outputs is gain² times that of the n inputs: exactly if
    n ≤ m, else in the mean over kernels. In a convolution that matrix is at the centre of the window and all other
    entries are 0 (delta-orthogonal), which keeps mean squares also at the borders of an image.

    Args:
        gain: factor of the standard deviation, a positive number. Default 1, which belongs to `shaped`; `gain(fn)`
            for another activation.

    Returns:
        An initializer: a function of (key, shape, dtype=float).

    Raises:
        ValueError: (when it is called) the shape has fewer than two axes.

    Example:
        >>> kernel = orthogonal()(jax.random.key(0), (3, 3, 16, 64))
        >>> rows = kernel[1, 1]  # the centre of the window
        >>> bool(jnp.allclose(rows @ rows.T, jnp.eye(16) * 64 / 16, atol=1e-4))
        True

    Reference:
        Saxe, McClelland and Ganguli, 2014, Exact solutions to the nonlinear dynamics of learning in deep linear neural
        networks. Xiao et al., 2018, Dynamical isometry and a mean field theory of CNNs.
    """

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = float) -> jax.Array:
        *window, inputs, outputs = _checked("orthogonal", shape)
        matrix = jax.random.orthogonal(key, inputs, (), float, outputs) * gain * math.sqrt(max(1, outputs / inputs))
        centre = tuple((size - 1) // 2 for size in window)
        return jnp.zeros(shape, dtype).at[centre].set(matrix.astype(dtype))

    return init


def normal(gain: float = 1.0) -> Initializer:
    """Independent normal weights of variance gain² / fan_in, which keep mean squares in the mean over wide layers.

    Args:
        gain: factor of the standard deviation, a positive number. Default 1, which belongs to `shaped`; `gain(fn)`
            for another activation.

    Returns:
        An initializer: a function of (key, shape, dtype=float). The fan-in of a convolution is its window times its
        inputs.

    Raises:
        ValueError: (when it is called) the shape has fewer than two axes.

    Example:
        >>> from jaxopt_lite.activations import gain, relu
        >>> kernel = normal(gain(relu))(jax.random.key(0), (3, 3, 64, 64))
        >>> round(float(kernel.var()) * 3 * 3 * 64, 1)
        2.0

    Reference:
        He, Zhang, Ren and Sun, 2015, Delving deep into rectifiers.
    """

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = float) -> jax.Array:
        *_, outputs = _checked("normal", shape)
        return (jax.random.normal(key, shape, float) * gain * math.sqrt(outputs / math.prod(shape))).astype(dtype)

    return init


def _checked(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) < 2:
        raise ValueError(
            f"initializers.{name}: shape {tuple(shape)} is no kernel of shape (..., in, out); use "
            "jax.nn.initializers.zeros for biases"
        )
    return tuple(shape)
