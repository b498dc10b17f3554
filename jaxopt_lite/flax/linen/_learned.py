"""Linen layers: activations whose settings are parameters."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.flax._learned import starting_values


class Learned(nn.Module):
    """An activation whose values are parameters: one set for all channels, or one for each of `features` channels.

    The parameters have the names of the function's settings and start at the `initial` values of its catalogue row,
    unless `start` gives others.
    """

    features: int | None = None
    start: Mapping[str, Any] | None = None
    param_dtype: Any = jnp.float32
    row: ClassVar[str]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The activation of x of shape (..., features)."""
        values = starting_values(self.row, self.features, dict(self.start or {}), self.param_dtype)
        learned = {name: self.param(name, lambda _, value=value: value) for name, value in values.items()}
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
