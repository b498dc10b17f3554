"""From formulas in full precision to an activation: check, cast up, evaluate, round once, keep one array."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.arguments import fitting, real
from jaxopt_lite.activations._rule.pieces import Formula, Slope, select, times


def elementwise(
    name: str,
    value: Formula,
    *slopes: Slope,
    curvature: Formula | None = None,
    of_output: Slope | None = None,
    keeps_mask: bool = False,
) -> Callable[..., jax.Array]:
    """The activation `name(x, *parameters)` with one formula for each derivative, none derived from a rounded result.

    Args:
        name: the name in error messages, jaxprs and profiles.
        value: formula of (x, *parameters). Like all formulas it gets float32, or float64 for float64 x; its result is
            rounded once to the dtype of x.
        *slopes: one partial derivative for each argument, x first: formulas of (x, *parameters), numbers, or Pieces.
        curvature: the second derivative in x; if None, slopes[0] is differentiated.
        of_output: the slope in x as a formula of (output, *parameters). It replaces slopes[0] in float32 and float64:
            the backward pass then keeps the output, which a matrix product keeps anyway, instead of x. In half
            precision the rounded output has lost too many digits.
        keeps_mask: the pieces of slopes[0] do not depend on x, so the backward pass keeps the result of its test.

    Returns:
        The activation: checks and converts its arguments, then runs as one compiled function.
    """
    learned = len(slopes) > 1
    slope: Any = slopes[0] if curvature is None else _with_derivative(slopes[0], curvature, learned)

    def evaluate(x: jax.Array, *parameters: jax.Array) -> jax.Array:
        return _rounded(value(*_raised(x, *parameters)), x)

    def rule(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
        x, *parameters = primals
        y = activation(*primals)
        moving = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero)]
        by_output = of_output if x.dtype.itemsize >= 4 else None
        kept = {"x": x} if moving != [0] or not (by_output or keeps_mask) else {}
        if 0 in moving and by_output is not None:
            kept["y"] = y
        elif 0 in moving and keeps_mask:
            kept["mask"] = slope.test(*_raised(x, *parameters))

        def tangent(kept: dict[str, jax.Array], parameters: list, moved: list) -> jax.Array:
            numbers = [_like(p, y) for p in parameters]
            x = [_up(_recomputed(kept["x"]))] if "x" in kept else []

            def term(i: int, t: jax.Array) -> jax.Array:
                if i == 0 and by_output is not None:
                    return times(t, by_output, [kept["y"], *numbers])
                if i == 0 and keeps_mask:
                    return select(kept["mask"], t, slope, [kept["mask"], *numbers])
                return times(t, slopes[i] if i else slope, [*x, *numbers])

            terms = [term(i, _like(t, y)) for i, t in zip(moving, moved, strict=True)]
            return _rounded(sum(terms[1:], terms[0]), y)

        return y, jax.checkpoint(tangent, prevent_cse=False)(kept, parameters, [tangents[i] for i in moving])

    evaluate.__name__ = evaluate.__qualname__ = name
    activation = jax.custom_jvp(evaluate)
    # Pallas refuses symbolic zeros, and a function of x alone has none.
    activation.defjvp(rule, symbolic_zeros=learned)
    compiled = jax.jit(activation)

    def checked(x: ArrayLike, *parameters: ArrayLike) -> jax.Array:
        array = real(name, x)
        return compiled(array, *(fitting(name, p, array) for p in parameters))

    return checked


def _recomputed(x: jax.Array) -> jax.Array:
    """x in a form that XLA does not simplify.

    The backward pass evaluates some of the terms of the value again. XLA would merge them with those of the forward
    pass, and store them in between; XLA:CPU ignores optimization barriers. For NaN both branches are NaN.
    """
    return jnp.where(x == x, x, -x)


def _with_derivative(f: Any, df: Formula, learned: bool) -> Formula:
    """`f(x, *parameters)` whose derivative in x is `df`; in the parameters it is differentiated as written."""
    g = jax.custom_jvp(f)

    def rule(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
        moving = [i for i, t in enumerate(tangents) if i > 0 and not isinstance(t, SymbolicZero)]
        terms = [] if isinstance(tangents[0], SymbolicZero) else [tangents[0] * df(*primals)]
        if moving:

            def of_parameters(moved: Sequence[Any]) -> jax.Array:
                arguments = list(primals)
                for i, p in zip(moving, moved, strict=True):
                    arguments[i] = p
                return f(*arguments)

            terms.append(jax.jvp(of_parameters, ([primals[i] for i in moving],), ([tangents[i] for i in moving],))[1])
        return g(*primals), sum(terms[1:], terms[0])

    g.defjvp(rule, symbolic_zeros=learned)
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
