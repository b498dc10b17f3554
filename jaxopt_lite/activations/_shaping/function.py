"""What can be shaped: a function of one number, called in its own dtype."""

from collections.abc import Callable
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
    number = jax.ShapeDtypeStruct((), jnp.dtype(float))
    try:
        result = jax.eval_shape(fn, number)
        scalar = result.shape == () and jnp.issubdtype(result.dtype, jnp.floating)
        problem = f"it maps a number to {result}"
    except Exception as error:
        scalar, problem = False, f"for a single number it raises {type(error).__name__}: {error}"
    if not scalar:
        raise TypeError(
            f"{where}: {name_of(fn)} is not elementwise: {problem}; give a function that maps each number to one, "
            "such as activations.tanh"
        )


def name_of(fn: Callable[..., Any]) -> str:
    """The name of a function in messages."""
    return getattr(fn, "name", None) or getattr(fn, "__name__", None) or repr(fn)


def is_traced(tree: Any) -> bool:
    """Whether a leaf of a pytree is a tracer."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))
