"""Linen layers: activations whose settings are parameters."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.flax._starting_values import starting_values


class Learned(nn.Module):
    """An activation whose settings are parameters, named as the settings of the function.

    Subclasses name a row of the activation catalogue.
    """

    features: int | None = None
    start: Mapping[str, Any] | None = None
    param_dtype: Any = jnp.float32
    row: ClassVar[str]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the activation.

        Args:
            x: real array of shape (..., features), or of any shape if the layer has no `features`.

        Returns:
            An array of the shape and dtype of x.
        """
        values = starting_values(self.row, self.features, dict(self.start or {}), self.param_dtype)
        learned = {name: self.param(name, lambda _, value=value: value) for name, value in values.items()}
        return CATALOGUE[self.row].function(x, **learned)


class PReLU(Learned):
    """`activations.prelu` with a learned slope for negative inputs.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own slope. Default None:
            one slope for the whole layer.
        start: initial values by name: negative_slope, 0.25 by default; a number for all channels or an array of shape
            (features,). Default None: the defaults.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer, or `start` has another name (when the module is first called).
        ValueError: `features` is less than 1, or a value of `start` has another shape (likewise).

    Example:
        >>> layer, x = linen.PReLU(3), jnp.ones((2, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (2, 3)

    Reference:
        He, Zhang, Ren and Sun, 2015, Delving deep into rectifiers.
    """

    row = "prelu"


class Swish(Learned):
    """`activations.swish` with a learned beta.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own beta. Default None:
            one beta for the whole layer.
        start: initial values by name: beta, 1.0 by default; a number for all channels or an array of shape (features,).
            Default None: the defaults.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer, or `start` has another name (when the module is first called).
        ValueError: `features` is less than 1, or a value of `start` has another shape (likewise).

    Example:
        >>> layer, x = linen.Swish(3), jnp.ones((2, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (2, 3)

    Reference:
        Ramachandran, Zoph and Le, 2017, Searching for activation functions.
    """

    row = "swish"


class Snake(Learned):
    """`activations.snake` with a learned frequency.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own alpha. Default None:
            one alpha for the whole layer.
        start: initial values by name: alpha, 1.0 by default and positive; a number for all channels or an array of
            shape (features,). Default None: the defaults.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer, or `start` has another name (when the module is first called).
        ValueError: `features` is less than 1, or a value of `start` has another shape or is not positive (likewise).

    Example:
        >>> layer, x = linen.Snake(3), jnp.ones((2, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (2, 3)

    Reference:
        Ziyin, Hartwig and Ueda, 2020, Neural networks fail to learn periodic functions and how to fix it.
    """

    row = "snake"


class AconC(Learned):
    """`activations.acon_c` with two learned slopes and a learned sharpness.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own parameters. Default
            None: one set of parameters for the whole layer.
        start: initial values by name: p1, p2 and beta, by default 1.0, 0.0 and 1.0; a number for all channels or an
            array of shape (features,). Default None: the defaults.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer, or `start` has another name (when the module is first called).
        ValueError: `features` is less than 1, or a value of `start` has another shape (likewise).

    Example:
        >>> layer, x = linen.AconC(3), jnp.ones((2, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (2, 3)

    Reference:
        Ma, Zhang, Liu and Sun, 2021, Activate or not: learning customized activation.
    """

    row = "acon_c"


class SReLU(Learned):
    """`activations.srelu` with two learned thresholds and a learned slope beyond each.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own parameters. Default
            None: one set of parameters for the whole layer.
        start: initial values by name: left_threshold, left_slope, right_threshold and right_slope, by default 0.0, 0.2,
            1.0 and 1.0; a number for all channels or an array of shape (features,). Default None: the defaults.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer, or `start` has another name (when the module is first called).
        ValueError: `features` is less than 1, or a value of `start` has another shape (likewise).

    Example:
        >>> layer, x = linen.SReLU(3), jnp.ones((2, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (2, 3)

    Reference:
        Jin, Xu, Feng, Wei, Xiong and Yan, 2016, Deep learning with S-shaped rectified linear activation units.
    """

    row = "srelu"


class PELU(Learned):
    """`activations.pelu` with a learned scale on each side of zero.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own parameters. Default
            None: one set of parameters for the whole layer.
        start: initial values by name: alpha and beta, 1.0 by default and positive; a number for all channels or an
            array of shape (features,). Default None: the defaults.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer, or `start` has another name (when the module is first called).
        ValueError: `features` is less than 1, or a value of `start` has another shape or is not positive (likewise).

    Example:
        >>> layer, x = linen.PELU(3), jnp.ones((2, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (2, 3)

    Reference:
        Trottier, Giguère and Chaib-draa, 2017, Parametric exponential linear unit for deep convolutional neural
        networks.
    """

    row = "pelu"


class Rational(Learned):
    """`activations.rational` with learned coefficients.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own function. Default
            None: one function for the whole layer.
        start: initial values by name: numerator, of shape (6,) or (6, features); denominator, of shape (4,) or (4,
            features). Default None: a fit of leaky_relu with slope 0.2.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer, or `start` has another name (when the module is first called).
        ValueError: `features` is less than 1, or a value of `start` has another shape (likewise).

    Example:
        >>> layer, x = linen.Rational(3), jnp.ones((2, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (2, 3)

    Reference:
        Molina, Schramowski and Kersting, 2019, Padé activation units.
    """

    row = "rational"
