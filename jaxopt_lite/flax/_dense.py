"""NNX layers of an activation and the matrix product after it, which keep only their inputs for the backward pass."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes

from jaxopt_lite.activations._dense import check_gate
from jaxopt_lite.flax._signature import Signature

Function = Callable[[jax.Array], jax.Array]
_KERNEL_INIT, _BIAS_INIT = nnx.initializers.lecun_normal(), nnx.initializers.zeros_init()


class ActDense(Signature, nnx.Linear):
    """`fn(z) @ kernel + bias`: an activation and the `nnx.Linear` after it, with `jax.checkpoint` around both.

    `ActDense(n, m, fn, rngs=rngs)(z)` replaces `nnx.Linear(n, m, rngs=rngs)(fn(z))`: same parameters, same numbers. The
    backward pass keeps z alone and evaluates fn again. Under `jax.lax.scan`, and on accelerators, that saves the memory
    of fn(z) and of what fn keeps. In an unrolled network on CPU it saves nothing, because XLA:CPU merges the second
    evaluation of fn with the first.

    Args:
        in_features: length of the last axis of z.
        out_features: length of the last axis of the output.
        fn: the activation: a function, a `bind`, or a module such as `PReLU()` or `nnx.Sequential(gelu, dropout)`.
        use_bias: whether to add a bias. Default True.
        dtype: dtype of the matrix product. Default None: the one that `fn(z)` and the parameters promote to.
        param_dtype: dtype of the parameters. Default float32.
        precision: of the matrix product, see `jax.lax.Precision`. Default None: the backend's.
        kernel_init: initializer of the kernel (in_features, out_features). Default `lecun_normal`.
        bias_init: initializer of the bias (out_features,). Default zeros.
        dot_general: function that computes the product. Default `jax.lax.dot_general`.
        promote_dtype: function of ((x, kernel, bias), dtype=dtype) that gives the three a common dtype. Default Flax's.
        preferred_element_type: dtype in which the product accumulates and is returned; needs Flax 0.12. Default None.
        rngs: random streams; the stream "params" draws the parameters.
        kernel_metadata: metadata of the kernel's `nnx.Param`, for instance its sharding; needs Flax 0.12. Default None.
        bias_metadata: metadata of the bias's `nnx.Param`; needs Flax 0.12. Default None.

    Raises:
        TypeError: `fn` is not callable.

    Example:
        >>> from jaxopt_lite.activations import gelu
        >>> layer = ActDense(3, 2, gelu, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((5, 3))).shape
        (5, 2)

    Reference:
        Chen, Xu, Zhang and Guestrin, 2016, Training deep nets with sublinear memory cost.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        fn: Function,
        *,
        use_bias: bool = True,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        kernel_init: Callable[..., Any] = _KERNEL_INIT,
        bias_init: Callable[..., Any] = _BIAS_INIT,
        dot_general: Callable[..., jax.Array] = jax.lax.dot_general,
        promote_dtype: Callable[..., Any] = dtypes.promote_dtype,
        preferred_element_type: Any = None,
        rngs: nnx.Rngs,
        kernel_metadata: Mapping[str, Any] | None = None,
        bias_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        check_activation(type(self).__name__, fn)
        newer = {
            "preferred_element_type": preferred_element_type,
            "kernel_metadata": kernel_metadata,
            "bias_metadata": bias_metadata,
        }
        super().__init__(
            in_features,
            out_features,
            use_bias=use_bias,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            kernel_init=kernel_init,
            bias_init=bias_init,
            dot_general=dot_general,
            promote_dtype=promote_dtype,
            rngs=rngs,
            **{name: value for name, value in newer.items() if value is not None},
        )
        self.fn = attribute(fn)

    def __call__(self, z: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Apply the activation and the linear transformation.

        Args:
            z: pre-activation of shape (..., in_features).
            out_sharding: sharding of the output, as in `nnx.Linear`; needs Flax 0.12. Default None.

        Returns:
            An array of shape (..., out_features).
        """
        return _checkpointed(self.fn, lambda fn, z: _linear(self, fn(z), out_sharding), z)


class GatedDense(ActDense):
    """`(fn(gate) × up) @ kernel + bias`: the second half of a SwiGLU block, with `jax.checkpoint` around it.

    `GatedDense(n, m, silu, rngs=rngs)(gate, up)` replaces `nnx.Linear(n, m, rngs=rngs)(silu(gate) * up)`: same
    parameters, same numbers. The backward pass keeps gate and up alone and evaluates fn again. Under `jax.lax.scan`,
    and on accelerators, that saves the memory of fn(gate), of the product and of what fn keeps. In an unrolled network
    on CPU it saves nothing, because XLA:CPU merges the second evaluation of fn with the first.

    Args:
        in_features: length of the last axis of gate and up.
        out_features: length of the last axis of the output.
        fn: the activation of the gate: a function, a `bind`, or a module such as `Swish()`.
        use_bias: whether to add a bias. Default True.
        dtype: dtype of the matrix product. Default None: the one that its operands promote to.
        param_dtype: dtype of the parameters. Default float32.
        precision: of the matrix product, see `jax.lax.Precision`. Default None: the backend's.
        kernel_init: initializer of the kernel (in_features, out_features). Default `lecun_normal`.
        bias_init: initializer of the bias (out_features,). Default zeros.
        dot_general: function that computes the product. Default `jax.lax.dot_general`.
        promote_dtype: function of ((x, kernel, bias), dtype=dtype) that gives the three a common dtype. Default Flax's.
        preferred_element_type: dtype in which the product accumulates and is returned; needs Flax 0.12. Default None.
        rngs: random streams; the stream "params" draws the parameters.
        kernel_metadata: metadata of the kernel's `nnx.Param`, for instance its sharding; needs Flax 0.12. Default None.
        bias_metadata: metadata of the bias's `nnx.Param`; needs Flax 0.12. Default None.

    Raises:
        TypeError: `fn` is not callable.

    Example:
        >>> from jaxopt_lite.activations import silu
        >>> layer = GatedDense(3, 2, silu, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((5, 3)), jnp.ones((5, 3))).shape
        (5, 2)

    Reference:
        Shazeer, 2020, GLU variants improve transformer.
    """

    def __call__(self, gate: jax.Array, up: jax.Array, out_sharding: Any = None) -> jax.Array:  # type: ignore[override]
        """Apply the gate and the linear transformation.

        Args:
            gate: input of the activation, shape (..., in_features).
            up: what the activated gate multiplies, of the same shape.
            out_sharding: sharding of the output, as in `nnx.Linear`; needs Flax 0.12. Default None.

        Returns:
            An array of shape (..., out_features).

        Raises:
            ValueError: gate and up have different shapes.
        """
        check_gate(type(self).__name__, gate, up)
        return _checkpointed(self.fn, lambda fn, gate, up: _linear(self, fn(gate) * up, out_sharding), gate, up)


def _linear(layer: nnx.Linear, x: jax.Array, out_sharding: Any) -> jax.Array:
    if out_sharding is None:  # Flax 0.11 has no such argument
        return nnx.Linear.__call__(layer, x)
    return nnx.Linear.__call__(layer, x, out_sharding)


def _checkpointed(fn: Function, block: Callable[..., jax.Array], *inputs: jax.Array) -> jax.Array:
    """`block(fn, *inputs)` under `jax.checkpoint`; what a module `fn` changes besides parameters is written back."""
    if not isinstance(fn, nnx.Module):
        return jax.checkpoint(lambda *inputs: block(fn, *inputs))(*inputs)
    parts: Any = nnx.split(fn, nnx.Param, ...)
    graphdef, params, state = parts

    def pure(state: Any, *inputs: jax.Array) -> tuple[jax.Array, Any]:
        module = nnx.merge(graphdef, params, state)
        return block(module, *inputs), nnx.state(module, nnx.Not(nnx.Param))

    y, state = jax.checkpoint(pure)(state, *inputs)
    if jax.tree.leaves(state):
        nnx.update(fn, state)
    return y


def attribute(fn: Function) -> Function:
    """`fn` as an attribute of an NNX module, which accepts arrays only if they are marked as data."""
    arrays = not isinstance(fn, nnx.Module) and any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(fn))
    return nnx.data(fn) if arrays else fn


def check_activation(where: str, fn: Any) -> None:
    """Raise a TypeError if `fn` is not callable."""
    if not callable(fn):
        example = fn if isinstance(fn, str) else "relu"
        raise TypeError(f"{where}: the activation {fn!r} is not callable; give a function, as activations.{example}")
