"""Gradient clipping: by entry, by block, by the norm of the whole tree."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import next_count, real, working
from jaxopt_lite.optimizers._norms import norm_in_units
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, State, Transform, build
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.wrappers._checks import required

# The keyword by which `partition_by_path` gives the gradients of all groups to the clip in one of them.
WHOLE = "whole_updates"


class Clip(NamedTuple):
    """The rule of a bound: `bounded(grads, settings, whole)` gives the updates; its state is its settings."""

    name: str
    bounded: Callable[[Any, Mapping[str, jax.Array], Any], Any]

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> State:
        """The settings."""
        return State(count=jnp.zeros((), jnp.int32), settings=copied(self.name, data, fixed), moments={})

    def update(
        self, grads: Any, state: State, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, State]:
        """The bounded updates, in their dtypes."""
        now = resolved(state.settings, fixed, state.count)
        updates = self.bounded(grads, now, extra.get(WHOLE, grads))
        return updates, State(count=next_count(state.count), settings=state.settings, moments={})


def _each(grads: Any, rule: Callable[[jax.Array], jax.Array]) -> Any:
    return jax.tree.map(lambda g: rule(g.astype(working(g.dtype))).astype(g.dtype), grads)


def _entries(grads: Any, s: Mapping[str, jax.Array], whole: Any) -> Any:
    def leaf(g: jax.Array) -> jax.Array:
        bound = s["max_delta"].astype(g.dtype)
        return jnp.clip(g, -bound, bound)

    return _each(grads, leaf)


def _globally(grads: Any, s: Mapping[str, jax.Array], whole: Any) -> Any:
    unit, length = norm_in_units(whole)
    return _each(grads, lambda g: _shortened(g, unit, length, s["max_norm"]))


def _blocks(grads: Any, s: Mapping[str, jax.Array], whole: Any) -> Any:
    def leaf(g: jax.Array) -> jax.Array:
        unit, length = norm_in_units(g)
        return _shortened(g, unit, length / g.size**0.5, s["threshold"])

    return _each(grads, leaf)


def _shortened(g: jax.Array, unit: jax.Array, length: jax.Array, bound: jax.Array) -> jax.Array:
    # In two factors: their product, or the norm, might not be a normal number.
    bound = bound.astype(unit.dtype)
    kind, long = real(g.dtype), length > bound / unit
    first = jnp.where(long, 1 / unit, 1).astype(kind).astype(g.dtype)
    second = jnp.where(long, bound / jnp.where(length > 0, length, 1), 1).astype(kind).astype(g.dtype)
    return g * first * second


CLIP, BY_NORM, BY_RMS = (
    Clip("clip", _entries),
    Clip("clip_by_global_norm", _globally),
    Clip("clip_by_block_rms", _blocks),
)


def clip(max_delta: Setting) -> Transform:
    """Clip every entry of the gradient to [-max_delta, max_delta].

    Args:
        max_delta: the largest absolute value, above 0: a number, an array, a tracer or a schedule.

    Returns:
        A transform whose updates are the clipped gradients, in their dtypes. Its state has the setting only.

    Raises:
        TypeError: `max_delta` is not a number.
        ValueError: `max_delta` is not above 0.

    Example:
        >>> tx = clip(1.0)
        >>> tx.update(jnp.array([5.0, -0.5]), tx.init(jnp.zeros(2)))[0]
        Array([ 1. , -0.5], dtype=float32)
    """
    required("clip", max_delta=max_delta)
    return build(CLIP, {"max_delta": max_delta})


def clip_by_global_norm(max_norm: Setting) -> Transform:
    """Scale the gradient so that its norm is at most `max_norm`: `g·max_norm/max(max_norm, ‖g‖)`.

    The norm is that of the whole tree, in float32 or wider, and neither overflows nor underflows. In a group of
    `partition_by_path` it is the norm of all groups, if the gradients of the group reach the clip unchanged, as in
    `chain(clip_by_global_norm(1.0), adam(1e-3))`; behind `accumulate` or another transform it is that of the group. A
    gradient with an infinite or NaN entry becomes NaN: `guard` skips it.

    Args:
        max_norm: the largest norm, above 0: a number, an array, a tracer or a schedule.

    Returns:
        A transform whose updates are the scaled gradients, in their dtypes. Its state has the setting only.

    Raises:
        TypeError: `max_norm` is not a number.
        ValueError: `max_norm` is not above 0.

    Example:
        >>> tx = clip_by_global_norm(1.0)
        >>> tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))[0]
        Array([0.6, 0.8], dtype=float32)

    Reference:
        Pascanu, Mikolov and Bengio 2013.
    """
    required("clip_by_global_norm", max_norm=max_norm)
    return build(BY_NORM, {"max_norm": max_norm})


def clip_by_block_rms(threshold: Setting) -> Transform:
    """Scale each leaf of the gradient so that its root mean square is at most `threshold`.

    Args:
        threshold: the largest root mean square, above 0: a number, an array, a tracer or a schedule.

    Returns:
        A transform whose updates are the scaled gradients, in their dtypes. Its state has the setting only.

    Raises:
        TypeError: `threshold` is not a number.
        ValueError: `threshold` is not above 0.

    Example:
        >>> tx = clip_by_block_rms(1.0)
        >>> [round(float(x), 6) for x in tx.update(jnp.array([2.0, -2.0]), tx.init(jnp.zeros(2)))[0]]
        [1.0, -1.0]

    Reference:
        Shazeer and Stern 2018.
    """
    required("clip_by_block_rms", threshold=threshold)
    return build(BY_RMS, {"threshold": threshold})
