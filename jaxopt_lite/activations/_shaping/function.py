"""What can be shaped: a function of one number, called in its own dtype."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp


def check_elementwise(where: str, fn: Any) -> None:
    """Check that fn maps one real number to one.

    Raises:
        TypeError: it does not.
    """
    if not callable(fn):
        cure = f"activations.{fn}" if isinstance(fn, str) else "a function of one array, such as activations.tanh"
        raise TypeError(f"{where}: {fn!r} is not a function; give {cure}")
    try:
        result = jax.eval_shape(fn, jax.ShapeDtypeStruct((), jnp.dtype(float)))
    except Exception as error:
        problem = f"for a single number it raises {type(error).__name__}: {error}"
    else:
        if result.shape == () and jnp.issubdtype(result.dtype, jnp.floating):
            return
        problem = f"it maps a number to {result}"
    raise TypeError(
        f"{where}: {name_of(fn)} is not elementwise: {problem}; give a function that maps each number to one, such as "
        "activations.tanh"
    )


def name_of(fn: Callable[..., Any]) -> str:
    """The name of a function in messages."""
    return getattr(fn, "name", None) or getattr(fn, "__name__", None) or repr(fn)


def is_traced(fn: Callable[..., Any]) -> bool:
    """Whether fn has traced numbers, as leaves or from around its definition."""
    program = jax.make_jaxpr(fn)(jax.ShapeDtypeStruct((), jnp.dtype(float)))
    return any(isinstance(constant, jax.core.Tracer) for constant in program.consts)


def untraced() -> AbstractContextManager[Any]:
    """A context in which functions of known numbers give known numbers, inside `jax.jit` too."""
    inside_jit = isinstance(jnp.zeros(()), jax.core.Tracer)
    return jax.ensure_compile_time_eval() if inside_jit else nullcontext()
