"""Linen layers: activations with learned numbers, and the dense layers that keep pre-activations alone."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxopt_lite.activations import CATALOGUE, act_dense, gated_dense
from jaxopt_lite.flax._layers import common_dtype, starting_numbers


class Learned(nn.Module):
    """An activation whose numbers are parameters: one set for all channels, or one for each of `features` channels.

    The parameters have the names of the function's settings and start at the `initial` numbers of its catalogue row,
    unless `start` gives others.
    """

    features: int | None = None
    start: Mapping[str, Any] | None = None
    param_dtype: Any = jnp.float32
    row: ClassVar[str]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The activation of x of shape (..., features)."""
        numbers = starting_numbers(self.row, self.features, dict(self.start or {}), self.param_dtype)
        learned = {name: self.param(name, lambda _, value=value: value) for name, value in numbers.items()}
        return CATALOGUE[self.row].function(x, **learned)


class PReLU(Learned):
    """`activations.prelu` with a learned negative_slope."""

    row = "prelu"


class Swish(Learned):
    """`activations.swish` with a learned beta."""

    row = "swish"


class Snake(Learned):
    """`activations.snake` with a learned alpha."""

    row = "snake"


class AconC(Learned):
    """`activations.acon_c` with learned p1, p2 and beta."""

    row = "acon_c"


class SReLU(Learned):
    """`activations.srelu` with two learned thresholds and slopes."""

    row = "srelu"


class PELU(Learned):
    """`activations.pelu` with learned alpha and beta."""

    row = "pelu"


class Rational(Learned):
    """`activations.rational` with learned coefficients; without `features`, one function for the whole layer."""

    row = "rational"


class ActDense(nn.Module):
    """`fn(z) @ kernel + bias`: an activation and the `nn.Dense` after it, which keeps z alone for the backward pass.

    Replaces `nn.Dense(m)(fn(z))` by `ActDense(m, fn)(z)`, with the same parameters. fn: an activation, bound or not.
    """

    features: int
    fn: Callable[..., Any]
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    bias_init: Callable[..., Any] = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """The output (..., features) of the pre-activation z."""
        kernel = self.param("kernel", self.kernel_init, (z.shape[-1], self.features), self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        return act_dense(self.fn, *common_dtype(self.dtype, z, kernel, bias))


class GatedDense(nn.Module):
    """`(fn(gate) × up) @ kernel + bias`: the second half of a SwiGLU block, which keeps gate and up alone.

    Replaces `nn.Dense(m)(fn(gate) * up)` by `GatedDense(m, fn)(gate, up)`, with the same parameters.
    """

    features: int
    fn: Callable[..., Any]
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    bias_init: Callable[..., Any] = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, gate: jax.Array, up: jax.Array) -> jax.Array:
        """The output (..., features) of gate and up, of one shape."""
        kernel = self.param("kernel", self.kernel_init, (gate.shape[-1], self.features), self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        gate, up, *weights = common_dtype(self.dtype, gate, up, kernel, bias)
        return gated_dense(self.fn, gate, up, *weights)
