"""Skip steps that would do harm: non-finite gradients and spikes; and scale the loss in half precision."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.optimizers._arithmetic import next_count, real, working
from jaxopt_lite.optimizers._norms import global_norm
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers._types import Number, Setting
from jaxopt_lite.optimizers.wrappers._checks import required
from jaxopt_lite.optimizers.wrappers._clip import WHOLE
from jaxopt_lite.optimizers.wrappers._shards import all_shards, max_over_shards

LARGEST_SCALE = 2.0**24


class GuardState(NamedTuple):
    """The counters of a `guard` and the state of its inner transform.

    `count` updates called; `skipped` steps, of them `nonfinite` and `spikes`; `in_a_row` spikes since the last step
    made; `norm` the running mean of the gradient norm; `good` finite steps since the loss scale changed last. The
    loss scale itself is `settings["loss_scale"]`, so that `with_settings` changes it.
    """

    count: Any
    settings: dict[str, Any]
    skipped: Any
    nonfinite: Any
    spikes: Any
    in_a_row: Any
    norm: Any
    good: Any
    inner: Any


class Guard(NamedTuple):
    """The rule of `guard`."""

    name: str = "guard"

    @property
    def evolves(self) -> tuple[str, ...]:
        """The settings that `update` changes in the state."""
        return ("loss_scale",)

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> GuardState:
        """No step skipped."""
        counts = {name: jnp.zeros((), jnp.int32) for name in ("skipped", "nonfinite", "spikes", "in_a_row", "good")}
        return GuardState(
            count=jnp.zeros((), jnp.int32),
            settings=copied(self.name, data, fixed),
            norm=jnp.zeros((), jnp.float32),
            inner=parts["tx"].init(params),
            **counts,
        )

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, GuardState]:
        """The inner step where the gradient is good; else zero updates and the old inner state."""
        s = resolved(state.settings, fixed, state.count)
        if "loss_scale" in s:
            grads = _unscaled(grads, s["loss_scale"])
            extra = {k: _unscaled(v, s["loss_scale"]) if k == WHOLE else v for k, v in extra.items()}
        norm = global_norm(grads).astype(jnp.float32)
        finite = all_shards(jnp.isfinite(norm))
        norm = max_over_shards(norm)
        spike = finite & _is_spike(norm, state, s) if "max_spike" in s else jnp.zeros((), bool)
        take = finite & ~spike
        updates, inner = parts["tx"](grads, state.inner, params, **extra)
        # Selected, not branched: under vmap every member decides for itself, and XLA fuses the selection into the step.
        updates = jax.tree.map(lambda u: jnp.where(take, u, jnp.zeros_like(u)), updates)
        inner = jax.tree.map(lambda new, old: jnp.where(take, new, old), inner, state.inner)
        return updates, _counted(state, s, norm, finite, spike)._replace(inner=inner)


def _unscaled(grads: Any, scale: jax.Array) -> Any:
    def leaf(g: jax.Array) -> jax.Array:
        wide = g.astype(working(g.dtype))
        return (wide / scale.astype(real(wide.dtype)).astype(wide.dtype)).astype(g.dtype)

    return jax.tree.map(leaf, grads)


def _is_spike(norm: jax.Array, state: GuardState, s: Mapping[str, jax.Array]) -> jax.Array:
    """Whether the norm is far above its running mean; after `patience` spikes in a row it counts as the new normal."""
    made = (state.count - state.skipped).astype(jnp.float32)
    known = (made >= s["warmup"].astype(jnp.float32)) & (state.norm > 0)
    high = norm > s["max_spike"].astype(jnp.float32) * state.norm
    return known & high & (state.in_a_row.astype(jnp.float32) < s["patience"].astype(jnp.float32))


def _counted(state: GuardState, s: Mapping[str, jax.Array], norm: Any, finite: Any, spike: Any) -> GuardState:
    take = finite & ~spike
    made = (state.count - state.skipped).astype(jnp.float32)
    rate = jnp.maximum(1 / (1 + made), 1 - s["decay"].astype(jnp.float32))
    rate = jnp.where(state.norm > 0, rate, 1)  # the mean starts at the first gradient that is not 0
    return state._replace(
        count=next_count(state.count),
        skipped=state.skipped + (~take).astype(jnp.int32),
        nonfinite=state.nonfinite + (~finite).astype(jnp.int32),
        spikes=state.spikes + spike.astype(jnp.int32),
        in_a_row=jnp.where(take, 0, state.in_a_row + spike.astype(jnp.int32)),
        norm=state.norm + rate * (jnp.where(take, norm, state.norm) - state.norm),
        **_rescaled(state, s, finite),
    )


def _rescaled(state: GuardState, s: Mapping[str, jax.Array], finite: jax.Array) -> dict[str, Any]:
    """The loss scale and the steps since it changed: halved down to 1, doubled up to 2²⁴."""
    if "loss_scale" not in s:
        return {}
    scale = s["loss_scale"]
    grow = finite & ((state.good + 1).astype(scale.dtype) >= s["growth_interval"].astype(scale.dtype))
    larger = jnp.where(grow & (scale < LARGEST_SCALE), scale * 2, scale)
    scale = jnp.where(finite, larger, jnp.maximum(scale / 2, 1))
    return {
        "settings": {**state.settings, "loss_scale": scale},
        "good": jnp.where(finite & ~grow, state.good + 1, 0),
    }


def guard(
    tx: optax.GradientTransformation,
    max_spike: Setting | None = None,
    loss_scale: Number | None = None,
    *,
    decay: Setting = 0.98,
    warmup: Setting = 20,
    patience: Setting = 10,
    growth_interval: Setting = 2000,
) -> Transform:
    """Skip the steps of `tx` whose gradient is not finite or suddenly far too large; scale the loss.

    A skipped step has zero updates, leaves the state of `tx` as it was and is counted in `state.skipped`,
    `state.nonfinite` or `state.spikes`. Under `vmap` every member decides for itself; in `jax.shard_map` all shards
    skip together.

    Args:
        tx: the transform to guard, one of this package or of optax.
        max_spike: a number above 0, usually 5 to 20, or a schedule. A step is skipped if its gradient norm is more
            than so many times the running mean of the norms, which starts at the first one above 0. `None` (static):
            spikes are not skipped.
        loss_scale: the first scale of the loss, above 0, usually 2.0**15 for float16. Multiply the loss by
            `loss_scale_of(state)`: gradients are divided by it, best in float32, as float16 loses the smallest ones.
            It halves at a non-finite gradient, down to 1, and doubles up to 2**24; `optax.inject_hyperparams` sets
            the first scale only. `None` (static): no scale.
        decay: how much of the running mean remains in each step, in [0, 1). 0.98 averages about 50 steps.
        warmup: the number of steps before spikes are skipped, 0 or more.
        patience: the number of spikes skipped in a row, 0 or more; the next one is accepted as the new scale.
            Gradients that are not finite neither count nor end the row.
        growth_interval: the number of finite steps after which the loss scale doubles, 1 or more.

    Returns:
        A transform with a `GuardState`, whose counters can be read at any time. Numbers may be arrays or tracers.

    Raises:
        TypeError: `tx` is not a transform, or `loss_scale` is a schedule.
        ValueError: a Python number is out of its range.

    Example:
        >>> tx = guard(sgd(0.1))
        >>> updates, state = tx.update(jnp.array([jnp.nan, 1.0]), tx.init(jnp.zeros(2)))
        >>> updates, int(state.skipped)
        (Array([0., 0.], dtype=float32), 1)

    Reference:
        Loss scale: Micikevicius et al. 2018.
    """
    required("guard", decay=decay, warmup=warmup, patience=patience, growth_interval=growth_interval)
    data = {"max_spike": max_spike, "loss_scale": loss_scale, "decay": decay}
    counts = {"warmup": warmup, "patience": patience, "growth_interval": growth_interval}
    return build(Guard(), data | counts, {}, {"tx": tx})


def loss_scale_of(state: Any) -> jax.Array:
    """The scale to multiply the loss by, from the state of a `guard`.

    Args:
        state: the state of a `guard`, or of a transform with one inside. Of several the first one counts.

    Returns:
        A scalar; 1 if the guard does not scale the loss.

    Raises:
        ValueError: the state has no guard.

    Example:
        >>> state = guard(sgd(0.1), loss_scale=8.0).init(jnp.zeros(2))
        >>> float(loss_scale_of(state))
        8.0
    """
    is_guard = lambda x: isinstance(x, GuardState)  # noqa: E731
    guards = [x for x in jax.tree.leaves(state, is_leaf=is_guard) if is_guard(x)]
    if not guards:
        raise ValueError(
            "loss_scale_of was given a state without a guard: wrap the optimizer, guard(tx, loss_scale=2.0**15)"
        )
    return guards[0].settings.get("loss_scale", jnp.ones((), jnp.float32))
