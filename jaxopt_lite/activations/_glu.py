"""Gated linear units: half of the entries of an axis, each times a function of its partner in the other half."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._gelu import gelu_exact
from jaxopt_lite.activations._rectified import identity, relu
from jaxopt_lite.activations._rule.arguments import axis_of, real
from jaxopt_lite.activations._rule.axis import along_axis
from jaxopt_lite.activations._sigmoid import sigmoid_by_input
from jaxopt_lite.activations._swish import silu


def _gated(name: str, gate: Callable[[jax.Array], jax.Array]) -> Callable[[ArrayLike, int], jax.Array]:
    """The unit a × gate(b) of (x, axis)."""

    def product(x: jax.Array, axis: int) -> jax.Array:
        linear, gating = jnp.split(x, 2, axis)
        return linear * gate(gating)

    compiled = along_axis(name, product)

    def unit(x: ArrayLike, axis: int) -> jax.Array:
        x = real(name, x)
        split = axis_of(name, x, axis)
        if x.shape[split] % 2:
            raise ValueError(
                f"{name}: x of shape {x.shape} cannot be split in two halves along axis {axis}; "
                "give it an axis of even length, the linear half first and the gate second"
            )
        return compiled(x, (split,))

    return unit


_glu = _gated("glu", sigmoid_by_input)
_reglu = _gated("reglu", relu)
_geglu = _gated("geglu", gelu_exact)
_swiglu = _gated("swiglu", silu)
_bilinear = _gated("bilinear", identity)


def glu(x: ArrayLike, axis: int = -1) -> jax.Array:
    """a × sigmoid(b), for x = (a, b) split along an axis.

    Args:
        x: real array whose axis has even length 2n: the linear half a first, the gate b second.
        axis: the axis to split, counted from either end. Default: the last.

    Returns:
        An array with n entries on that axis, in the dtype of x.

    Raises:
        ValueError: if the axis does not exist or its length is odd.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in glu(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [0.269, 1.905]

    Reference:
        Dauphin, Fan, Auli and Grangier 2016.
    """
    return _glu(x, axis)


def reglu(x: ArrayLike, axis: int = -1) -> jax.Array:
    """a × relu(b), for x = (a, b) split along an axis, as in `glu`.

    Args:
        x: real array whose axis has even length 2n: the linear half a first, the gate b second.
        axis: the axis to split, counted from either end. Default: the last.

    Returns:
        An array with n entries on that axis, in the dtype of x.

    Raises:
        ValueError: if the axis does not exist or its length is odd.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in reglu(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [0.0, 6.0]

    Reference:
        Shazeer 2020.
    """
    return _reglu(x, axis)


def geglu(x: ArrayLike, axis: int = -1) -> jax.Array:
    """a × gelu(b) with the exact gelu, for x = (a, b) split along an axis, as in `glu`.

    Args:
        x: real array whose axis has even length 2n: the linear half a first, the gate b second.
        axis: the axis to split, counted from either end. Default: the last.

    Returns:
        An array with n entries on that axis, in the dtype of x.

    Raises:
        ValueError: if the axis does not exist or its length is odd.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in geglu(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [-0.159, 5.992]

    Reference:
        Shazeer 2020.
    """
    return _geglu(x, axis)


def swiglu(x: ArrayLike, axis: int = -1) -> jax.Array:
    """a × silu(b), for x = (a, b) split along an axis, as in `glu`.

    Args:
        x: real array whose axis has even length 2n: the linear half a first, the gate b second.
        axis: the axis to split, counted from either end. Default: the last.

    Returns:
        An array with n entries on that axis, in the dtype of x.

    Raises:
        ValueError: if the axis does not exist or its length is odd.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in swiglu(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [-0.269, 5.715]

    Reference:
        Shazeer 2020.
    """
    return _swiglu(x, axis)


def bilinear(x: ArrayLike, axis: int = -1) -> jax.Array:
    """a × b, for x = (a, b) split along an axis, as in `glu`.

    Args:
        x: real array whose axis has even length 2n: the linear half a first, the gate b second.
        axis: the axis to split, counted from either end. Default: the last.

    Returns:
        An array with n entries on that axis, in the dtype of x.

    Raises:
        ValueError: if the axis does not exist or its length is odd.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in bilinear(jnp.array([1.0, 2.0, -1.0, 3.0]))]
        [-1.0, 6.0]

    Reference:
        Mnih and Hinton 2007; Shazeer 2020.
    """
    return _bilinear(x, axis)
