"""NNX layers: activations whose settings are parameters."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen, nnx
from flax.nnx import bridge
from jax.typing import ArrayLike

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.flax._signature import Signature
from jaxopt_lite.flax._starting_values import starting_values


class Learned(Signature, nnx.Module):
    """An activation whose settings are `nnx.Param`s, named as the settings of the function.

    Subclasses name a row of the activation catalogue and list its settings in their signature.
    """

    name: ClassVar[str]

    def _start(self, features: int | None, param_dtype: Any, **start: ArrayLike | Sequence[float]) -> None:
        for setting, value in starting_values(self.name, features, start, param_dtype).items():
            setattr(self, setting, nnx.Param(value))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the activation.

        Args:
            x: real array of shape (..., features), or of any shape if the layer has no `features`.

        Returns:
            An array of the shape and dtype of x.

        Raises:
            TypeError: a Linen module calls the layer; Linen does not see the parameters of an NNX layer.
        """
        refuse_linen_caller(type(self).__name__)
        row = CATALOGUE[self.name]
        return row.function(x, **{setting: getattr(self, setting)[...] for setting in row.initial})


def refuse_linen_caller(layer: str) -> None:
    """Raise a TypeError if a Linen module calls an NNX layer directly: its parameters would never be trained."""
    stack = getattr(getattr(linen.module, "_context", None), "module_stack", None)
    caller = stack[-1] if stack else None
    if isinstance(caller, linen.Module) and not isinstance(caller, bridge.ToLinen):
        raise TypeError(
            f"jaxopt_lite.flax.{layer} is an NNX layer, and the Linen module {type(caller).__name__} called it: Linen "
            f"would not train its parameters. Use jaxopt_lite.flax.linen.{layer}, or wrap it in "
            "flax.nnx.bridge.ToLinen"
        )


class PReLU(Learned):
    """`activations.prelu` with a learned slope for negative inputs.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own slope. Default None:
            one slope for the whole layer.
        negative_slope: initial slope, a number or an array of shape (features,). Default 0.25, as in the paper.
        param_dtype: dtype of the parameter, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer.
        ValueError: `features` is less than 1, or `negative_slope` has another shape.

    Example:
        >>> layer = PReLU()
        >>> layer(jnp.array([-2.0, 2.0]))
        Array([-0.5,  2. ], dtype=float32)

    Reference:
        He, Zhang, Ren and Sun, 2015, Delving deep into rectifiers.
    """

    name = "prelu"

    def __init__(
        self, features: int | None = None, *, negative_slope: ArrayLike = 0.25, param_dtype: Any = jnp.float32
    ) -> None:
        self._start(features, param_dtype, negative_slope=negative_slope)


class Swish(Learned):
    """`activations.swish` with a learned beta.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own beta. Default None:
            one beta for the whole layer.
        beta: initial beta, a number or an array of shape (features,). Default 1.0, which is silu.
        param_dtype: dtype of the parameter, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer.
        ValueError: `features` is less than 1, or `beta` has another shape.

    Example:
        >>> Swish(beta=0.0)(jnp.array([-2.0, 2.0]))
        Array([-1.,  1.], dtype=float32)

    Reference:
        Ramachandran, Zoph and Le, 2017, Searching for activation functions.
    """

    name = "swish"

    def __init__(self, features: int | None = None, *, beta: ArrayLike = 1.0, param_dtype: Any = jnp.float32) -> None:
        self._start(features, param_dtype, beta=beta)


class Snake(Learned):
    """`activations.snake` with a learned frequency.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own alpha. Default None:
            one alpha for the whole layer.
        alpha: initial frequency, positive; a number or an array of shape (features,). Default 1.0.
        param_dtype: dtype of the parameter, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer.
        ValueError: `features` is less than 1, or `alpha` has another shape or is not positive.

    Example:
        >>> Snake(3)(jnp.zeros((2, 3))).shape
        (2, 3)

    Reference:
        Ziyin, Hartwig and Ueda, 2020, Neural networks fail to learn periodic functions and how to fix it.
    """

    name = "snake"

    def __init__(self, features: int | None = None, *, alpha: ArrayLike = 1.0, param_dtype: Any = jnp.float32) -> None:
        self._start(features, param_dtype, alpha=alpha)


class AconC(Learned):
    """`activations.acon_c` with two learned slopes and a learned sharpness.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own parameters. Default
            None: one set of parameters for the whole layer.
        p1: initial slope for large inputs, a number or an array of shape (features,). Default 1.0.
        p2: initial slope for very negative inputs, a number or an array of shape (features,). Default 0.0.
        beta: initial sharpness of the transition, a number or an array of shape (features,). Default 1.0; with the
            other defaults the layer starts as silu.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer.
        ValueError: `features` is less than 1, or a parameter has another shape.

    Example:
        >>> AconC(beta=0.0)(jnp.array([-2.0, 2.0]))
        Array([-1.,  1.], dtype=float32)

    Reference:
        Ma, Zhang, Liu and Sun, 2021, Activate or not: learning customized activation.
    """

    name = "acon_c"

    def __init__(
        self,
        features: int | None = None,
        *,
        p1: ArrayLike = 1.0,
        p2: ArrayLike = 0.0,
        beta: ArrayLike = 1.0,
        param_dtype: Any = jnp.float32,
    ) -> None:
        self._start(features, param_dtype, p1=p1, p2=p2, beta=beta)


class SReLU(Learned):
    """`activations.srelu` with two learned thresholds and a learned slope beyond each.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own parameters. Default
            None: one set of parameters for the whole layer.
        left_threshold: initial threshold below which the slope is `left_slope`, a number or an array of shape
            (features,). Default 0.0.
        left_slope: initial slope below `left_threshold`, a number or an array of shape (features,). Default 0.2.
        right_threshold: initial threshold above which the slope is `right_slope`, a number or an array of shape
            (features,). Default 1.0.
        right_slope: initial slope above `right_threshold`, a number or an array of shape (features,). Default 1.0;
            with the other defaults the layer starts as leaky_relu with slope 0.2.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer.
        ValueError: `features` is less than 1, or a parameter has another shape.

    Example:
        >>> SReLU()(jnp.array([-1.0, 0.5, 2.0]))
        Array([-0.2,  0.5,  2. ], dtype=float32)

    Reference:
        Jin, Xu, Feng, Wei, Xiong and Yan, 2016, Deep learning with S-shaped rectified linear activation units.
    """

    name = "srelu"

    def __init__(
        self,
        features: int | None = None,
        *,
        left_threshold: ArrayLike = 0.0,
        left_slope: ArrayLike = 0.2,
        right_threshold: ArrayLike = 1.0,
        right_slope: ArrayLike = 1.0,
        param_dtype: Any = jnp.float32,
    ) -> None:
        left = {"left_threshold": left_threshold, "left_slope": left_slope}
        self._start(features, param_dtype, **left, right_threshold=right_threshold, right_slope=right_slope)


class PELU(Learned):
    """`activations.pelu` with a learned scale on each side of zero.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own parameters. Default
            None: one set of parameters for the whole layer.
        alpha: initial negative limit of the function, positive; a number or an array of shape (features,). Default 1.0.
        beta: initial width of the exponential, positive; a number or an array of shape (features,). Default 1.0; with
            the other default the layer starts as elu.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer.
        ValueError: `features` is less than 1, or a parameter has another shape or is not positive.

    Example:
        >>> PELU(alpha=2.0)(jnp.array([0.0, 1.0]))
        Array([0., 2.], dtype=float32)

    Reference:
        Trottier, Giguère and Chaib-draa, 2017, Parametric exponential linear unit for deep convolutional neural
        networks.
    """

    name = "pelu"

    def __init__(
        self,
        features: int | None = None,
        *,
        alpha: ArrayLike = 1.0,
        beta: ArrayLike = 1.0,
        param_dtype: Any = jnp.float32,
    ) -> None:
        self._start(features, param_dtype, alpha=alpha, beta=beta)


class Rational(Learned):
    """`activations.rational` with learned coefficients.

    Args:
        features: number of channels, the length of the last axis of the input, each with its own function. Default
            None: one function for the whole layer.
        numerator: initial coefficients of the numerator, constant first, shape (6,) or (6, features). Default None:
            with the default denominator, a fit of leaky_relu with slope 0.2.
        denominator: initial coefficients of x to x⁴ in the denominator, shape (4,) or (4, features). Default None: the
            fit's.
        param_dtype: dtype of the parameters, whatever the dtype of the input. Default float32.

    Raises:
        TypeError: `features` is not an integer.
        ValueError: `features` is less than 1, or the coefficients have another shape.

    Example:
        >>> Rational().numerator.shape, Rational(3).numerator.shape
        ((6,), (6, 3))

    Reference:
        Molina, Schramowski and Kersting, 2019, Padé activation units.
    """

    name = "rational"

    def __init__(
        self,
        features: int | None = None,
        *,
        numerator: ArrayLike | Sequence[float] | None = None,
        denominator: ArrayLike | Sequence[float] | None = None,
        param_dtype: Any = jnp.float32,
    ) -> None:
        start = {"numerator": numerator, "denominator": denominator}
        self._start(features, param_dtype, **{name: value for name, value in start.items() if value is not None})
