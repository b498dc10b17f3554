"""Linen layers of an activation and the matrix product after it, which keep only their inputs for the backward pass."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen import dtypes

from jaxopt_lite.activations._dense import check_gate
from jaxopt_lite.flax._dense import Function, check_activation


class ActDense(nn.Module):
    """`fn(z) @ kernel + bias`: an activation and the `nn.Dense` after it, with `nn.remat` around both.

    `ActDense(m, fn)(z)` replaces `nn.Dense(m)(fn(z))`: same parameters, same numbers. The backward pass keeps z alone
    and evaluates fn again. Under `nn.scan`, and on accelerators, that saves the memory of fn(z) and of what fn keeps.
    In an unrolled network on CPU it saves nothing, because XLA:CPU merges the second evaluation of fn with the first.

    Args:
        features: length of the last axis of the output.
        fn: the activation: a function, a `bind`, or a Linen module such as `linen.PReLU()` or `nn.Sequential([...])`.
        use_bias: whether to add a bias. Default True.
        dtype: dtype of the matrix product. Default None: the one that `fn(z)` and the parameters promote to.
        param_dtype: dtype of the parameters. Default float32.
        precision: of the matrix product, see `jax.lax.Precision`. Default None: the backend's.
        kernel_init: initializer of the kernel (n, features). Default `lecun_normal`.
        bias_init: initializer of the bias (features,). Default zeros.
        promote_dtype: function of (x, kernel, bias, dtype=dtype) that gives the three a common dtype. Default Flax's.
        dot_general: function that computes the product. Default None: `jax.lax.dot_general`.
        dot_general_cls: class whose instance computes the product, as in `nn.Dense`. Default None.

    Raises:
        TypeError: `fn` is not callable (when the module is first called).

    Example:
        >>> from jaxopt_lite.activations import gelu
        >>> layer = linen.ActDense(2, gelu)
        >>> variables = layer.init(jax.random.key(0), jnp.ones((5, 3)))
        >>> layer.apply(variables, jnp.ones((5, 3))).shape
        (5, 2)

    Reference:
        Chen, Xu, Zhang and Guestrin, 2016, Training deep nets with sublinear memory cost.
    """

    features: int
    fn: Function
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    bias_init: Callable[..., Any] = nn.initializers.zeros_init()
    promote_dtype: Callable[..., Any] = dtypes.promote_dtype
    dot_general: Callable[..., jax.Array] | None = None
    dot_general_cls: Any = None

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Apply the activation and the dense layer.

        Args:
            z: pre-activation of shape (..., n).

        Returns:
            An array of shape (..., features).
        """
        check_activation("linen.ActDense", self.fn)
        return nn.remat(lambda layer, z: _dense(layer, layer.fn(z)))(self, z)


class GatedDense(nn.Module):
    """`(fn(gate) × up) @ kernel + bias`: the second half of a SwiGLU block, with `nn.remat` around it.

    `GatedDense(m, silu)(gate, up)` replaces `nn.Dense(m)(silu(gate) * up)`: same parameters, same numbers. The backward
    pass keeps gate and up alone and evaluates fn again. Under `nn.scan`, and on accelerators, that saves the memory of
    fn(gate), of the product and of what fn keeps. In an unrolled network on CPU it saves nothing, because XLA:CPU
    merges the second evaluation of fn with the first.

    Args:
        features: length of the last axis of the output.
        fn: the activation of the gate: a function, a `bind`, or a Linen module such as `linen.Swish()`.
        use_bias: whether to add a bias. Default True.
        dtype: dtype of the matrix product. Default None: the one that its operands promote to.
        param_dtype: dtype of the parameters. Default float32.
        precision: of the matrix product, see `jax.lax.Precision`. Default None: the backend's.
        kernel_init: initializer of the kernel (n, features). Default `lecun_normal`.
        bias_init: initializer of the bias (features,). Default zeros.
        promote_dtype: function of (x, kernel, bias, dtype=dtype) that gives the three a common dtype. Default Flax's.
        dot_general: function that computes the product. Default None: `jax.lax.dot_general`.
        dot_general_cls: class whose instance computes the product, as in `nn.Dense`. Default None.

    Raises:
        TypeError: `fn` is not callable (when the module is first called).

    Example:
        >>> from jaxopt_lite.activations import silu
        >>> layer, x = linen.GatedDense(2, silu), jnp.ones((5, 3))
        >>> layer.apply(layer.init(jax.random.key(0), x, x), x, x).shape
        (5, 2)

    Reference:
        Shazeer, 2020, GLU variants improve transformer.
    """

    features: int
    fn: Function
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    bias_init: Callable[..., Any] = nn.initializers.zeros_init()
    promote_dtype: Callable[..., Any] = dtypes.promote_dtype
    dot_general: Callable[..., jax.Array] | None = None
    dot_general_cls: Any = None

    @nn.compact
    def __call__(self, gate: jax.Array, up: jax.Array) -> jax.Array:
        """Apply the gate and the dense layer.

        Args:
            gate: input of the activation, shape (..., n).
            up: what the activated gate multiplies, of the same shape.

        Returns:
            An array of shape (..., features).

        Raises:
            ValueError: gate and up have different shapes.
        """
        check_activation("linen.GatedDense", self.fn)
        check_gate("linen.GatedDense", gate, up)
        return nn.remat(lambda layer, gate, up: _dense(layer, layer.fn(gate) * up))(self, gate, up)


def _dense(layer: ActDense | GatedDense, x: jax.Array) -> jax.Array:
    """The output of an `nn.Dense` whose parameters are those of `layer`."""
    dense = nn.Dense(
        layer.features,
        use_bias=layer.use_bias,
        dtype=layer.dtype,
        param_dtype=layer.param_dtype,
        precision=layer.precision,
        kernel_init=layer.kernel_init,
        bias_init=layer.bias_init,
        promote_dtype=layer.promote_dtype,
        dot_general=layer.dot_general,
        dot_general_cls=layer.dot_general_cls,
    )
    nn.share_scope(layer, dense)
    return dense(x)
