"""From formulas in full precision to an activation: check, cast up, evaluate, round once, keep one array."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.arguments import fitting, real
from jaxopt_lite.activations._rule.bits import pack, unpack, worth_packing

Formula = Callable[..., Any]


def elementwise(
    name: str, value: Formula, *slopes: Formula, curvature: Formula | None = None, bits: Formula | None = None
) -> Callable[..., jax.Array]:
    """The activation `name(x, *parameters)` with one formula for each derivative, none derived from a rounded result.

    value(x, *parameters), slopes (one partial derivative for each argument, x first) and curvature (the second
    derivative in x; without it the slope is differentiated) see float32, or float64 for float64 x. The result has the
    dtype of x and is rounded to it once. A backward pass keeps x alone, in its own dtype; or, where the slope has two
    values, one bit an element: `bits(x, *parameters)` says which, and slopes[0] is a function of (bits, *parameters).
    """
    slope = _with_derivative(slopes[0], curvature)

    def partial_derivative(i: int, arguments: list[jax.Array]) -> jax.Array:
        if i == 0 and bits is not None:
            return slope(bits(*arguments), *arguments[1:])
        return slope(*arguments) if i == 0 else slopes[i](*arguments)

    @jax.custom_jvp
    def activation(x: jax.Array, *parameters: jax.Array) -> jax.Array:
        return _rounded(value(*_raised(x, *parameters)), x)

    @partial(activation.defjvp, symbolic_zeros=True)
    def rule(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
        x, *parameters = primals
        moving = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero)]
        one_bit = bits is not None and moving == [0]
        packed = one_bit and worth_packing(x)

        def tangent(kept: jax.Array, parameters: list, moved: list) -> jax.Array:
            if one_bit:
                terms = [_up(moved[0]) * slope(unpack(kept) if packed else kept, *_raised(x, *parameters)[1:])]
            else:
                arguments = _raised(kept, *parameters)
                terms = [_like(t, x) * partial_derivative(i, arguments) for i, t in zip(moving, moved, strict=True)]
            return _rounded(sum(terms[1:], terms[0]), x)

        kept = bits(*_raised(x, *parameters)) if bits is not None and one_bit else x
        linear = jax.checkpoint(tangent, prevent_cse=False)
        return activation(*primals), linear(pack(kept) if packed else kept, parameters, [tangents[i] for i in moving])

    compiled = jax.jit(activation)

    def checked(x: ArrayLike, *parameters: ArrayLike) -> jax.Array:
        array = real(name, x)
        return compiled(array, *(fitting(name, p, array) for p in parameters))

    return checked


def _with_derivative(f: Formula, df: Formula | None) -> Formula:
    """`f(x, *parameters)` whose derivative in x is `df`; in the parameters it is differentiated as written."""
    if df is None:
        return f
    g = jax.custom_jvp(f)

    @partial(g.defjvp, symbolic_zeros=True)
    def rule(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
        moving = [i for i, t in enumerate(tangents) if i > 0 and not isinstance(t, SymbolicZero)]
        terms = [] if isinstance(tangents[0], SymbolicZero) else [tangents[0] * df(*primals)]
        if moving:

            def of_parameters(moved: list) -> jax.Array:
                arguments = list(primals)
                for i, p in zip(moving, moved, strict=True):
                    arguments[i] = p
                return f(*arguments)

            terms.append(jax.jvp(of_parameters, ([primals[i] for i in moving],), ([tangents[i] for i in moving],))[1])
        return g(*primals), sum(terms[1:], terms[0])

    return g


def _up(a: jax.Array) -> jax.Array:
    """The array in the dtype formulas are evaluated in: float32, or what is wider already."""
    return a.astype(jnp.float32) if a.dtype.itemsize < 4 else a


def _like(p: jax.Array, x: jax.Array) -> jax.Array:
    """A parameter, or its tangent, in the dtype x is evaluated in and ready to broadcast against x."""
    wide = jnp.float64 if x.dtype == jnp.float64 else jnp.float32
    p = p if p.dtype == wide else p.astype(wide)
    return p.reshape((1,) * (x.ndim - p.ndim) + p.shape) if p.ndim else p


def _raised(x: jax.Array, *parameters: jax.Array) -> list[jax.Array]:
    return [_up(x), *(_like(p, x) for p in parameters)]


def _rounded(y: jax.Array, x: jax.Array) -> jax.Array:
    """The result in the dtype and shape of x: the only rounding to it."""
    y = y if y.dtype == x.dtype else y.astype(x.dtype)
    return y if y.shape == x.shape else jnp.broadcast_to(y, x.shape)
