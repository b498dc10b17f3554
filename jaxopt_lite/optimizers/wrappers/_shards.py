"""Decisions that all shards of an array must agree on inside `jax.shard_map`; elsewhere these are identities."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def all_shards(flag: jax.Array) -> jax.Array:
    """Whether `flag` is true in every shard."""
    axes = tuple(sorted(_varying(flag)))
    return jax.lax.pmin(flag.astype(jnp.int32), axes) > 0 if axes else flag


def max_over_shards(x: jax.Array) -> jax.Array:
    """The largest `x` of all shards."""
    axes = tuple(sorted(_varying(x)))
    return jax.lax.pmax(x, axes) if axes else x


def varying_like_result(function: Callable[..., Any], value: Any, operands: Any) -> Any:
    """`value`, varying over the mesh axes of `function(value, operands)`, as the carry of a loop must be at first."""
    if not any(map(_varying, jax.tree.leaves((value, operands)))):
        return value

    def leaf(x: Any, result: Any) -> Any:
        axes = tuple(sorted(_varying(result) - _varying(x)))
        if not axes:
            return x
        # Newer versions of JAX have `pcast` only, older ones `pvary` only.
        if hasattr(jax.lax, "pcast"):
            return jax.lax.pcast(x, axes, to="varying")
        return jax.lax.pvary(x, axes)  # type: ignore[attr-defined]

    return jax.tree.map(leaf, value, jax.eval_shape(function, value, operands))


def _varying(x: Any) -> frozenset[str]:
    # Newer versions of JAX keep the axes in the manual axis type, older ones in `vma`.
    kind = x if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x)
    manual = getattr(kind, "manual_axis_type", None)
    return frozenset(manual.varying if manual is not None else getattr(kind, "vma", None) or ())
