"""An activation from a formula and its derivatives."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import jax

from jaxopt_lite.activations._rule.elementwise import elementwise as from_formulas
from jaxopt_lite.activations._rule.pieces import Slope
from jaxopt_lite.activations._shaping.function import name_of

Function: TypeAlias = Callable[..., jax.Array]


def elementwise(slope: Slope, *by_setting: Slope, curvature: Function | None = None) -> Callable[[Function], Function]:
    """A decorator that gives an elementwise formula its derivatives.

    A plain function of `jax.numpy` is an activation too. This decorator adds what this package's functions do: in half
    precision everything is evaluated in float32 and rounded once, the backward pass keeps x alone, and the slope is
    the given formula, so that it is accurate where the derivative of the value is not.

    Args:
        slope: the derivative in x, a number or a formula of the same arguments as the decorated one.
        *by_setting: the derivative in each further argument, in order.
        curvature: the second derivative in x. Default: `slope` is differentiated.

    Returns:
        A decorator of a formula of (x, *settings); all of them get float32 or float64 arrays.

    Raises:
        TypeError: if the formula has not one argument for each derivative, or one that cannot be given both by position
            and by name, such as those after a `*`.

    Example:
        >>> import jax.numpy as jnp
        >>> @elementwise(lambda x: 3 * x * x)
        ... def cube(x):
        ...     return x * x * x
        >>> float(jax.grad(cube)(2.0))
        12.0
    """

    def decorated(value: Function) -> Function:
        name, signature = name_of(value), inspect.signature(value)
        for argument in signature.parameters.values():
            if argument.kind is not argument.POSITIONAL_OR_KEYWORD:
                raise TypeError(
                    f"elementwise: {name}{signature}: the argument {str(argument)!r} is {argument.kind.description}; "
                    "write it as an argument that can be given both by position and by name, without *, ** and /"
                )
        if len(signature.parameters) != 1 + len(by_setting):
            raise TypeError(
                f"elementwise: {name}{signature} needs {len(signature.parameters)} derivatives, one for each "
                f"argument, but {1 + len(by_setting)} are given"
            )
        activation = from_formulas(name, value, slope, *by_setting, curvature=curvature)

        @functools.wraps(value)
        def called(*args: Any, **settings: Any) -> jax.Array:
            given = signature.bind(*args, **settings)
            given.apply_defaults()
            return activation(*given.args)

        return called

    return decorated
