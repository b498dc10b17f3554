"""Half-precision parameters that learn from steps smaller than their last digit, by rounding at random."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import flat, next_count, widened
from jaxopt_lite.optimizers._bits import checked_seed, random_bits, rounded, stream
from jaxopt_lite.optimizers._settings import copied
from jaxopt_lite.optimizers._transform import Parts, Transform, build


class RoundingState(NamedTuple):
    """Steps done, which seed the random bits, and the inner state."""

    count: Any
    settings: dict[str, Any]
    inner: Any


class Rounding(NamedTuple):
    """The rule of `stochastic_rounding`."""

    name: str = "stochastic_rounding"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> RoundingState:
        """The inner state, of float32 parameters."""
        inner = parts["tx"].init(widened(params))
        return RoundingState(count=jnp.zeros((), jnp.int32), settings=copied(self.name, data, fixed), inner=inner)

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, RoundingState]:
        """The inner step in float32, and the distance to where the parameter lands when rounded at random."""
        if params is None:
            raise ValueError(f"{self.name} rounds the parameters and was given none: call update(grads, state, params)")
        wide = widened(params)
        steps, inner = parts["tx"](widened(grads), state.inner, wide, **extra)
        ps, treedef = flat(params)
        leaves = enumerate(zip(ps, treedef.flatten_up_to(wide), treedef.flatten_up_to(steps), strict=True))
        updates = [
            _landed(p, w, u, stream(state.count, i, "parameters", state.settings["seed"])) for i, (p, w, u) in leaves
        ]
        after = RoundingState(count=next_count(state.count), settings=state.settings, inner=inner)
        return jax.tree.unflatten(treedef, updates), after


def _landed(p: jax.Array, wide: jax.Array, u: jax.Array, key: jax.Array) -> jax.Array:
    if p.dtype == wide.dtype:
        return u
    return rounded(wide + u, p.dtype, random_bits(key, p.shape)).astype(wide.dtype) - wide


def stochastic_rounding(tx: Any, seed: Any = 0) -> Transform:
    """Let parameters in bfloat16 or float16 learn: each is rounded up or down at random, right on average.

    Rounded to nearest, a step below half the last digit (0.2 to 0.4 % of a bfloat16 number) is lost, always; rounded
    at random it is made with the probability that gives its mean. The bits come from a counter hash of the step, the
    leaf and the place, so a run repeats; members of a `vmap` draw the same unless their `seed` (a leaf) differs.

    `tx`, of ours or of optax, runs in float32. Updates are float32, such that `params + updates` is the rounded
    parameter (`apply_updates`, and optax's). Float32 parameters are left as they are. `update` needs the parameters.

    >>> tx = stochastic_rounding(sgd(1.0))
    >>> params = jnp.ones(1000, jnp.bfloat16)
    >>> state = tx.init(params)
    >>> updates, state = tx.update(jnp.full(1000, 1e-3, jnp.bfloat16), state, params)
    >>> moved = apply_updates(params, updates, state).astype(jnp.float32)
    >>> bool(abs(moved.mean() - 0.999) < 3e-4)
    True

    Source: Gupta et al. 2015.
    """
    return build(Rounding(), {"seed": checked_seed("stochastic_rounding", seed)}, {}, {"tx": tx})
