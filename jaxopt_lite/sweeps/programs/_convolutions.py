"""Programs with convolutions, in a form for which XLA has fast code on CPU."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

from jaxopt_lite.sweeps.programs._cpu_operations import convolution, max_pool_gradient

_FORMS: dict[str, Callable[..., Any]] = {
    "conv_general_dilated": convolution,
    "select_and_scatter_add": max_pool_gradient,
}
_LARGEST_POOL = 64  # each position of a window adds operations to the program


def for_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function equal to `function` whose convolutions and gradients of max-pooling are fast on CPU inside loops.

    XLA's code for the gradients of a convolution is 5 to 30 times slower inside a compiled loop than outside, unless
    their axes are in one particular order; see `convolution`. Everything else in the function, the functions that it
    calls by `jit`, `scan`, `while_loop`, `cond`, `checkpoint` or custom derivatives included, stays as it is. A
    function without convolutions is called as it is, so that its program does not change by a bit.

    The result can be jitted, vmapped and used in loops. Derivatives are taken inside `function`: those of the result
    would not have the form.

    Args:
        function: a function of pytrees of arrays that returns a pytree of arrays.

    Returns:
        A function of the same arguments and results, equal within rounding.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> convolve = lambda x, w: jax.lax.conv(x, w, (1, 1), "VALID")
        >>> x, w = jnp.ones((1, 1, 3, 3)), jnp.ones((1, 1, 2, 2))
        >>> for_cpu(convolve)(x, w)[0, 0].tolist()
        [[4.0, 4.0], [4.0, 4.0]]
    """

    @functools.wraps(function)
    def rewritten(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        if not has_convolutions(closed.jaxpr):
            return function(*args)
        found = core.jaxpr_as_fun(_Rewriter().jaxpr(closed))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return rewritten


def has_convolutions(jaxpr: Any) -> bool:
    """Whether a jaxpr, or one inside it, has a convolution or the gradient of max-pooling."""
    return any(
        equation.primitive.name in _FORMS
        or any(has_convolutions(_opened(inner)) for value in equation.params.values() for inner in _jaxprs(value))
        for equation in jaxpr.eqns
    )


class _Rewriter:
    """Rewrites the convolutions in jaxprs. What was one jaxpr before is one afterwards, and is compiled once."""

    def __init__(self) -> None:
        self._rewritten: dict[int, tuple[Any, Any]] = {}  # by id, with the jaxpr itself, which keeps the id in use
        self._templates: dict[Any, Any] = {}

    def jaxpr(self, jaxpr: Any) -> Any:
        """An open or closed jaxpr in the form for CPUs; the jaxpr itself if it has no convolutions."""
        if id(jaxpr) not in self._rewritten:
            out = jaxpr
            if isinstance(jaxpr, core.ClosedJaxpr):
                inner = self.jaxpr(jaxpr.jaxpr)
                out = jaxpr if inner is jaxpr.jaxpr else core.ClosedJaxpr(inner, jaxpr.consts)
            elif has_convolutions(jaxpr):
                out = jaxpr.replace(eqns=[self._equation(equation) for equation in jaxpr.eqns])
            self._rewritten[id(jaxpr)] = jaxpr, out
        return self._rewritten[id(jaxpr)][1]

    def _equation(self, equation: Any) -> Any:
        if equation.primitive.name in _FORMS:
            template = self._template(equation)
            return equation if template is None else _with(equation, template.primitive, template.params)
        params = {name: self._value(value) for name, value in equation.params.items()}
        changed = any(value is not equation.params[name] for name, value in params.items())
        return _with(equation, equation.primitive, params) if changed else equation

    def _value(self, value: Any) -> Any:
        """A parameter of an operation, with the jaxprs in it rewritten; the same object if nothing changes."""
        if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
            return self.jaxpr(value)
        if isinstance(value, tuple):
            values = [self._value(entry) for entry in value]
            if any(new is not old for new, old in zip(values, value, strict=True)):
                return type(value)(*values) if hasattr(value, "_fields") else tuple(values)
        return value

    def _template(self, equation: Any) -> Any:
        """A call of a jitted function that computes the same from arrays of these shapes, as an equation.

        Convolutions of equal shapes and parameters share it. None if the operation is best left as it is.
        """
        params = dict(equation.params)
        too_large = math.prod(params.get("window_dimensions", ())) > _LARGEST_POOL
        if too_large or params.pop("out_sharding", None) is not None:
            return None
        name, inputs = equation.primitive.name, [_shape(v.aval) for v in equation.invars]
        key = (name, *((x.shape, x.dtype) for x in inputs), *params.items())
        if key not in self._templates:
            form = functools.partial(_FORMS[name], **params)
            (self._templates[key],) = jax.make_jaxpr(jax.jit(form))(*inputs).eqns
        return self._templates[key]


def _shape(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def _with(equation: Any, primitive: Any, params: dict[str, Any]) -> Any:
    return equation.replace(primitive=primitive, params=params)


def _opened(jaxpr: Any) -> Any:
    return jaxpr.jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else jaxpr


def _jaxprs(value: Any) -> list[Any]:
    """The jaxprs in a parameter of an operation."""
    if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
        return [value]
    return [jaxpr for entry in value for jaxpr in _jaxprs(entry)] if isinstance(value, tuple) else []
