"""Half-precision parameters with eight more bits kept beside them: a 24-bit master copy for one byte."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.optimizers._arithmetic import next_count, widened
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers._trees import check_params, map_gradients, map_state
from jaxopt_lite.optimizers.wrappers._checks import check_inner

LEVELS = 254


class MasterState(NamedTuple):
    """Steps done, the `rest` that rounding cut off each parameter in 1/254 of its last digit, and the inner state."""

    count: Any
    rest: Any
    inner: Any


class Master(NamedTuple):
    """The rule of `split_master`."""

    name: str = "split_master"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> MasterState:
        """No rest."""
        check_params(self.name, params)
        rest = jax.tree.map(
            lambda p: jnp.zeros_like(p, dtype=jnp.int8) if _is_half(p) else jnp.zeros((), jnp.int8), params
        )
        return MasterState(count=jnp.zeros((), jnp.int32), rest=rest, inner=parts["tx"].init(widened(params)))

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, MasterState]:
        """The inner step on the master copy; the update is the difference of the rounded parameters."""
        if params is None:
            raise ValueError(f"{self.name} splits the parameters and was given none: call update(grads, state, params)")
        check_inner(self.name, state)
        params = map_gradients(lambda g, p: p, grads, params)
        whole = map_gradients(_joined, params, state.rest)
        steps, inner = parts["tx"](widened(grads), state.inner, whole, **extra)
        moved = map_gradients(_moved, params, whole, steps, state.rest)
        updates = map_gradients(lambda p, pair: pair[0], params, moved)
        rest = map_state(lambda p, old, pair: pair[1], params, state.rest, moved)
        return updates, MasterState(count=next_count(state.count), rest=rest, inner=inner)


def _is_half(p: jax.Array) -> bool:
    return p.dtype in (jnp.bfloat16, jnp.float16)


def _digit(p: jax.Array) -> jax.Array:
    """The worth of the last digit of `p`, in float32: that of the binade, never below the smallest number's."""
    info = jnp.finfo(p.dtype)
    smallest = jnp.float32(max(float(info.smallest_normal), 2.0**-100))
    size = jnp.maximum(jnp.abs(p.astype(jnp.float32)), smallest)
    exponent = jax.lax.bitcast_convert_type(size, jnp.uint32) & jnp.uint32(0xFF800000)
    return jax.lax.bitcast_convert_type(exponent, jnp.float32) * jnp.float32(2.0**-info.nmant)


def _joined(p: jax.Array, rest: Any) -> jax.Array:
    return p if not _is_half(p) else p.astype(jnp.float32) + rest.astype(jnp.float32) * (_digit(p) / LEVELS)


def _moved(p: jax.Array, whole: jax.Array, u: jax.Array, rest: jax.Array) -> tuple[jax.Array, jax.Array]:
    if not _is_half(p):
        return u, rest
    after = whole + u
    place = after.astype(p.dtype)
    cut = jnp.round((after - place.astype(jnp.float32)) * (LEVELS / _digit(place)))
    # Not finite, there is nothing to keep; the clip is for a digit that grew when rounding reached the next binade.
    rest = jnp.clip(jnp.where(jnp.isfinite(cut), cut, 0), -127, 127).astype(jnp.int8)
    return place.astype(jnp.float32) - p.astype(jnp.float32), rest


def split_master(tx: optax.GradientTransformation) -> Transform:
    """Train parameters in bfloat16 or float16 with a 24-bit master copy: one more byte keeps what rounding cuts off.

    The parameter and its byte together are 254 times as fine as the parameter alone, and one byte smaller than
    float32. `tx` runs on the master copy in float32. Parameters in float32 are updated as by `tx` alone.

    Args:
        tx: a transform of this package or of optax.

    Returns:
        A transform with a `MasterState`. Its updates are float32, such that `params + updates` is the rounded master
        copy: add them with `apply_updates` or `optax.apply_updates`. Its `update` needs the parameters, and nothing
        else may change them between two updates, as the bytes belong to them.

    Raises:
        TypeError: `tx` is not a transform.
        ValueError: from `update`, the parameters are missing.

    Example:
        >>> tx = split_master(sgd(1.0))
        >>> params, state = jnp.ones(1, jnp.bfloat16), tx.init(jnp.ones(1, jnp.bfloat16))
        >>> for _ in range(100):
        ...     updates, state = tx.update(jnp.full(1, 1e-3, jnp.bfloat16), state, params)
        ...     params = apply_updates(params, updates)
        >>> round(float(params[0]), 2)
        0.9

    Reference:
        Zamirai et al. 2020 (arXiv 2010.06192) split the weights; the rest has 8 bits here.
    """
    return build(Master(), {}, {}, {"tx": tx})
