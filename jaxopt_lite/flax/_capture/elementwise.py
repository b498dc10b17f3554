"""Which operations of a program work entry by entry, and which are linear."""

from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend import core

_LINEAR = frozenset({"add", "add_any", "sub", "neg", "mul", "div", "convert_element_type", "copy", "select_n"})
_CURVED = frozenset(
    {
        *("abs", "acos", "acosh", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp", "cos"),
        *("cosh", "digamma", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt"),
        *("integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "ne", "not"),
        *("or", "pow", "rem", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "tan"),
        *("tanh", "xor", "bitcast_convert_type", "shift_left", "shift_right_logical", "shift_right_arithmetic"),
        *("reduce_precision", "nextafter", "real", "imag", "expint", "bessel_i0e", "bessel_i1e"),
    }
)
_MIXING_CURVED = frozenset(
    {
        *("argmax", "argmin", "cummax", "cumprod", "reduce_max", "reduce_min", "reduce_prod", "reduce_window_max"),
        *("sort", "top_k"),
    }
)
_BILINEAR = frozenset({"mul", "div", "dot_general", "conv_general_dilated"})
_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2", "remat"})
_WITH_RULES = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})


def called(equation: Any) -> Any:
    """The closed jaxpr of an operation that calls a function once (by `jit`, `checkpoint`, `custom_jvp`), else None."""
    if equation.primitive.name not in _CALLS | _WITH_RULES:
        return None
    inner = next((equation.params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in equation.params), None)
    return core.ClosedJaxpr(inner, ()) if isinstance(inner, core.Jaxpr) else inner


def inner_jaxprs(equation: Any) -> list[Any]:
    """The jaxprs in the parameters of an operation: of calls, of loops, of the branches of a condition."""
    values = [value if isinstance(value, tuple | list) else (value,) for value in equation.params.values()]
    jaxprs = [v for entries in values for v in entries if isinstance(v, core.ClosedJaxpr | core.Jaxpr)]
    return [v.jaxpr if isinstance(v, core.ClosedJaxpr) else v for v in jaxprs]


def has_rule(equation: Any) -> bool:
    """Whether the called function has a derivative rule, which is lost if it is evaluated step by step."""
    return equation.primitive.name in _WITH_RULES


def elementwise(equation: Any, moving: Sequence[bool]) -> bool:
    """Whether each entry of the one output depends on one entry of each of the `moving` inputs."""
    if len(equation.outvars) != 1:
        return False
    inner = called(equation)
    if inner is None:
        return equation.primitive.name in _LINEAR | _CURVED
    return all(elementwise(step, flags) for step, flags in _steps(inner.jaxpr, moving) if any(flags))


def curved(equation: Any, moving: Sequence[bool]) -> bool:
    """Whether an operation is not linear in its `moving` inputs; calls are judged by the functions that they call."""
    name = equation.primitive.name
    if name in _BILINEAR:
        return sum(moving) > 1 or (name == "div" and moving[1])
    if name in _CURVED | _MIXING_CURVED:
        return any(moving)
    inner = called(equation)
    if inner is not None:
        return any(curved(step, flags) for step, flags in _steps(inner.jaxpr, moving))
    loops = (step for jaxpr in inner_jaxprs(equation) for step in jaxpr.eqns)
    return any(moving) and any(curved(step, [True] * len(step.invars)) for step in loops)


def _steps(jaxpr: Any, moving: Sequence[bool]) -> Iterator[tuple[Any, list[bool]]]:
    """The operations of a function, each with the flags that say which of its inputs depend on the `moving` ones."""
    moved = {v for v, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    for step in jaxpr.eqns:
        flags = [not isinstance(v, core.Literal) and v in moved for v in step.invars]
        yield step, flags
        if any(flags):
            moved.update(step.outvars)


def title(equation: Any) -> str:
    """The name of the function that an operation calls, or of the operation."""
    name = equation.params.get("name")
    if isinstance(name, str):
        return name
    inner = called(equation)
    if inner is not None:
        for step in inner.jaxpr.eqns:
            return title(step)
    return {"logistic": "sigmoid"}.get(equation.primitive.name, equation.primitive.name)
