"""NNX layers: activations with learned numbers, and the dense layers that keep pre-activations alone."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lite.activations import CATALOGUE, act_dense, gated_dense


class Learned(nnx.Module):
    """An activation whose numbers are parameters: one set for all channels, or one for each of `features` channels.

    The parameters have the names of the function's settings and start at the `initial` numbers of its catalogue row;
    other starting numbers are given by keyword. They stay in `param_dtype` (float32) whatever the dtype of x.
    """

    name: ClassVar[str]

    def __init__(self, features: int | None = None, *, param_dtype: Any = jnp.float32, **initial: Any) -> None:
        for setting, value in starting_numbers(self.name, features, initial, param_dtype).items():
            setattr(self, setting, nnx.Param(value))

    def __call__(self, x: jax.Array) -> jax.Array:
        """The activation of x of shape (..., features)."""
        row = CATALOGUE[self.name]
        return row.function(x, **{setting: getattr(self, setting)[...] for setting in row.initial})


def starting_numbers(name: str, features: int | None, given: dict[str, Any], dtype: Any) -> dict[str, jax.Array]:
    """The starting parameters of a row: scalars or short vectors, with an axis of channels behind where asked for."""
    initial = CATALOGUE[name].initial
    for setting in given:
        if setting not in initial:
            raise TypeError(f"{name} has no learned number {setting!r}; it has: {', '.join(initial)}")
    numbers = {setting: jnp.asarray(value, dtype) for setting, value in {**initial, **given}.items()}
    if features is None:
        return numbers
    return {setting: jnp.stack([value] * features, -1) for setting, value in numbers.items()}


class PReLU(Learned):
    """`activations.prelu` with a learned negative_slope."""

    name = "prelu"


class Swish(Learned):
    """`activations.swish` with a learned beta."""

    name = "swish"


class Snake(Learned):
    """`activations.snake` with a learned alpha."""

    name = "snake"


class AconC(Learned):
    """`activations.acon_c` with learned p1, p2 and beta."""

    name = "acon_c"


class SReLU(Learned):
    """`activations.srelu` with two learned thresholds and slopes."""

    name = "srelu"


class PELU(Learned):
    """`activations.pelu` with learned alpha and beta."""

    name = "pelu"


class Rational(Learned):
    """`activations.rational` with learned coefficients; without `features`, one function for the whole layer."""

    name = "rational"


class ActDense(nnx.Linear):
    """`fn(z) @ kernel + bias`: an activation and the `nnx.Linear` after it, which keeps z alone for the backward pass.

    Replaces `nnx.Linear(n, m, rngs=rngs)(fn(z))` by `ActDense(n, m, fn, rngs=rngs)(z)`, with the same parameters;
    takes the other keywords of `nnx.Linear`. fn: an activation, bound or not, or a module such as `PReLU()`.
    """

    def __init__(self, in_features: int, out_features: int, fn: Callable[..., Any], **options: Any) -> None:
        super().__init__(in_features, out_features, **options)
        self.fn = fn

    def __call__(self, z: jax.Array) -> jax.Array:  # type: ignore[override]
        """The output (..., out_features) of the pre-activation z (..., in_features)."""
        z, w, b = common_dtype(self.dtype, z, self.kernel[...], None if self.bias is None else self.bias[...])
        return act_dense(self.fn, z, w, b)


class GatedDense(nnx.Linear):
    """`(fn(gate) × up) @ kernel + bias`: the second half of a SwiGLU block, which keeps gate and up alone.

    Replaces `nnx.Linear(n, m, rngs=rngs)(fn(gate) * up)` by `GatedDense(n, m, fn, rngs=rngs)(gate, up)`, with the same
    parameters; takes the other keywords of `nnx.Linear`.
    """

    def __init__(self, in_features: int, out_features: int, fn: Callable[..., Any], **options: Any) -> None:
        super().__init__(in_features, out_features, **options)
        self.fn = fn

    def __call__(self, gate: jax.Array, up: jax.Array) -> jax.Array:  # type: ignore[override]
        """The output (..., out_features) of gate and up, both (..., in_features)."""
        bias = None if self.bias is None else self.bias[...]
        gate, w, b, up = common_dtype(self.dtype, gate, self.kernel[...], bias, up)
        return gated_dense(self.fn, gate, up, w, b)


def common_dtype(dtype: Any, *arrays: Any) -> list[Any]:
    """The arrays (or None) in one dtype, the given one or the one they promote to, as in `nnx.Linear`."""
    dtype = dtype or jnp.result_type(*(a.dtype for a in arrays if a is not None))
    return [None if a is None else a.astype(dtype) for a in arrays]
