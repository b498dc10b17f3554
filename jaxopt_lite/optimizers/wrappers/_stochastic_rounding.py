"""Half-precision parameters that learn from steps smaller than their last digit, by rounding at random."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.optimizers._arithmetic import next_count, widened
from jaxopt_lite.optimizers._bits import random_bits, rounded, stream
from jaxopt_lite.optimizers._settings import copied
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers._trees import check_params, map_gradients
from jaxopt_lite.optimizers._types import Number
from jaxopt_lite.optimizers.wrappers._checks import required


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
        check_params(self.name, params)
        inner = parts["tx"].init(widened(params))
        return RoundingState(count=jnp.zeros((), jnp.int32), settings=copied(self.name, data, fixed), inner=inner)

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, RoundingState]:
        """The inner step in float32, and the difference to the parameter rounded at random."""
        if params is None:
            raise ValueError(f"{self.name} rounds the parameters and was given none: call update(grads, state, params)")
        params = map_gradients(lambda g, p: p, grads, params)
        wide = widened(params)
        steps, inner = parts["tx"](widened(grads), state.inner, wide, **extra)
        seed, leaf = state.settings["seed"], itertools.count()

        def rounded_step(p: jax.Array, w: jax.Array, u: jax.Array) -> jax.Array:
            return _landed(p, w, u, stream(state.count, next(leaf), "parameters", seed))

        updates = map_gradients(rounded_step, params, wide, steps)
        return updates, RoundingState(count=next_count(state.count), settings=state.settings, inner=inner)


def _landed(p: jax.Array, wide: jax.Array, u: jax.Array, key: jax.Array) -> jax.Array:
    if p.dtype == wide.dtype:
        return u
    return rounded(wide + u, p.dtype, random_bits(key, p.shape)).astype(wide.dtype) - wide


def stochastic_rounding(tx: optax.GradientTransformation, seed: Number = 0) -> Transform:
    """Train parameters in bfloat16 or float16 by rounding them up or down at random, unbiased.

    Rounded to nearest, a step below half of the last digit (0.2 to 0.4 % of a bfloat16 number) is always lost. Rounded
    at random, the parameter moves with the probability that makes its mean right. `tx` runs in float32. Parameters in
    float32 are updated as by `tx` alone.

    Args:
        tx: a transform of this package or of optax.
        seed: any number of the random bits, a leaf. The bits are a hash of seed, step, leaf and entry, so a run with
            the same seed repeats. Members of a `vmap` need different seeds for different bits.

    Returns:
        A transform with a `RoundingState`. Its updates are float32, such that `params + updates` is the rounded
        parameter: add them with `apply_updates` or `optax.apply_updates`. Its `update` needs the parameters.

    Raises:
        TypeError: `tx` is not a transform, or `seed` is not a number but, for example, a schedule.
        ValueError: `seed` is too large; from `update`, the parameters are missing.

    Example:
        >>> tx = stochastic_rounding(sgd(1.0))
        >>> params = jnp.ones(1000, jnp.bfloat16)
        >>> updates, state = tx.update(jnp.full(1000, 1e-3, jnp.bfloat16), tx.init(params), params)
        >>> mean = apply_updates(params, updates).astype(jnp.float32).mean()
        >>> bool(abs(mean - 0.999) < 3e-4)
        True

    Reference:
        Gupta, Agrawal, Gopalakrishnan and Narayanan 2015.
    """
    required("stochastic_rounding", seed=seed)
    return build(Rounding(), {"seed": seed}, {}, {"tx": tx})
