"""Steps that would do harm are left out: non-finite gradients, spikes; and the scale of the loss in half precision."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import next_count, working
from jaxopt_lite.optimizers._norms import global_norm
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers.wrappers._clip import WHOLE
from jaxopt_lite.optimizers.wrappers._shards import all_shards, max_over_shards

LARGEST_SCALE = 2.0**24


class GuardState(NamedTuple):
    """What was let through and what was not.

    `count` calls; `skipped` steps left out, of them `nonfinite` for their values and `spikes` for their length;
    `in_a_row` since the last step that was taken; `norm` the running mean of the gradient's norm; `scale` of the
    loss, `good` steps since it last changed.
    """

    count: Any
    settings: dict[str, Any]
    skipped: Any
    nonfinite: Any
    spikes: Any
    in_a_row: Any
    norm: Any
    scale: Any
    good: Any
    inner: Any


class Guard(NamedTuple):
    """The rule of `guard`."""

    name: str = "guard"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> GuardState:
        """Nothing skipped, the loss scale at its start."""
        kept = copied(self.name, data, fixed)
        counts = {name: jnp.zeros((), jnp.int32) for name in ("skipped", "nonfinite", "spikes", "in_a_row", "good")}
        scale = kept["loss_scale"].astype(jnp.float32) * 1 if "loss_scale" in kept else jnp.ones((), jnp.float32)
        return GuardState(
            count=jnp.zeros((), jnp.int32),
            settings=kept,
            norm=jnp.zeros((), jnp.float32),
            scale=scale,
            inner=parts["tx"].init(params),
            **counts,
        )

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, GuardState]:
        """The inner step where the gradient is good; else zero updates and the inner state as it was."""
        s = resolved(state.settings, fixed, state.count)
        if "loss_scale" in s:
            grads = _unscaled(grads, state.scale)
            extra = {k: _unscaled(v, state.scale) if k == WHOLE else v for k, v in extra.items()}
        norm = global_norm(grads).astype(jnp.float32)
        finite = all_shards(jnp.isfinite(norm))
        norm = max_over_shards(norm)
        spike = _is_spike(norm, state, s) if "max_spike" in s else jnp.zeros((), bool)
        take = finite & ~spike
        updates, inner = parts["tx"](grads, state.inner, params, **extra)
        # Selected, not branched: under vmap every member decides for itself, and XLA fuses it into the step.
        updates = jax.tree.map(lambda u: jnp.where(take, u, jnp.zeros_like(u)), updates)
        inner = jax.tree.map(lambda new, old: jnp.where(take, new, old), inner, state.inner)
        return updates, _counted(state, s, norm, finite, spike)._replace(inner=inner)


def _unscaled(grads: Any, scale: jax.Array) -> Any:
    return jax.tree.map(lambda g: (g.astype(working(g.dtype)) / scale).astype(g.dtype), grads)


def _is_spike(norm: jax.Array, state: GuardState, s: Mapping[str, jax.Array]) -> jax.Array:
    """Far above the running mean; not while the mean is young, nor for ever: after some in a row it is the world."""
    taken = state.count - state.skipped
    known = taken >= s["warmup"]
    return known & (norm > s["max_spike"] * state.norm) & (state.in_a_row < s["patience"])


def _counted(state: GuardState, s: Mapping[str, jax.Array], norm: Any, finite: Any, spike: Any) -> GuardState:
    take = finite & ~spike
    spike = spike & finite
    rate = jnp.maximum(1.0 / (1.0 + (state.count - state.skipped)), 1 - s["decay"])
    mean = state.norm + rate.astype(jnp.float32) * (jnp.where(take, norm, state.norm) - state.norm)
    scale, good = state.scale, state.good
    if "loss_scale" in s:
        grown = finite & (state.good + 1 >= s["growth_interval"])
        bigger = jnp.minimum(scale * 2, LARGEST_SCALE)
        scale = jnp.where(finite, jnp.where(grown, bigger, scale), jnp.maximum(scale / 2, 1.0))
        good = jnp.where(finite & ~grown, state.good + 1, 0)
    return state._replace(
        count=next_count(state.count),
        skipped=state.skipped + ~take,
        nonfinite=state.nonfinite + ~finite,
        spikes=state.spikes + spike,
        in_a_row=jnp.where(take, 0, state.in_a_row + 1),
        norm=mean,
        scale=scale,
        good=good,
    )


def guard(
    tx: Any,
    max_spike: Any = None,
    loss_scale: Any = None,
    *,
    decay: Any = 0.98,
    warmup: Any = 20,
    patience: Any = 10,
    growth_interval: Any = 2000,
) -> Transform:
    """Leave out the steps whose gradient is not finite, or suddenly far too long; `tx` never sees them.

    Such a step gives zero updates and leaves the state of `tx` as it was; it is counted in the state, whose fields
    can be read at any time (`state.skipped`, `nonfinite`, `spikes`, `in_a_row`, `norm`). Members of a `vmap` decide
    for themselves.

    With `max_spike` (5 to 20 is usual) a step is also left out if its norm is more than that many times the running
    mean of the norms, which forgets with `decay`; not before `warmup` steps were taken, nor after `patience` spikes
    in a row. With `loss_scale` (2.0**15 is usual in float16) the gradient is divided by a scale that halves at each
    non-finite step and doubles after `growth_interval` finite ones: multiply the loss by `loss_scale_of(state)`.
    Float32 gradients are best there, as dividing a float16 one brings its smallest entries back to 0. `None` is
    structure, numbers are leaves.

    >>> tx = guard(sgd(0.1))
    >>> updates, state = tx.update(jnp.array([jnp.nan, 1.0]), tx.init(jnp.zeros(2)))
    >>> updates, int(state.skipped)
    (Array([0., 0.], dtype=float32), 1)

    Source: Micikevicius et al. 2018 (loss scale).
    """
    data = {"max_spike": max_spike, "loss_scale": loss_scale, "decay": decay}
    counts = {"warmup": warmup, "patience": patience, "growth_interval": growth_interval}
    return build(Guard(), data | counts, {}, {"tx": tx})


def loss_scale_of(state: Any) -> jax.Array:
    """The factor for the loss that the `guard` inside `state` now wants; 1 where it has none.

    Raises `ValueError` for a state without a guard.
    """
    found = [
        x for x in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, GuardState)) if isinstance(x, GuardState)
    ]
    if not found:
        raise ValueError(
            "loss_scale_of was given a state without a guard: wrap the optimizer, guard(tx, loss_scale=2.0**15)"
        )
    return found[0].scale
