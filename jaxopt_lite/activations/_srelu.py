"""The S-shaped rectifier: three straight pieces whose outer two are learned."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._rule.elementwise import elementwise


def _pick(x: jax.Array, tl: jax.Array, tr: jax.Array, left: Any, middle: Any, right: Any) -> jax.Array:
    return jnp.where(x >= tr, right, jnp.where(x <= tl, left, middle))


def _value(x: jax.Array, tl: jax.Array, al: jax.Array, tr: jax.Array, ar: jax.Array) -> jax.Array:
    return jnp.where(x > tr, tr + ar * (x - tr), jnp.where(x < tl, tl + al * (x - tl), x))


_srelu = elementwise(
    "srelu",
    _value,
    lambda x, tl, al, tr, ar: _pick(x, tl, tr, al, 1.0, ar),
    lambda x, tl, al, tr, ar: _pick(x, tl, tr, 1.0 - al, 0.0, 0.0),
    lambda x, tl, al, tr, ar: _pick(x, tl, tr, x - tl, 0.0, 0.0),
    lambda x, tl, al, tr, ar: _pick(x, tl, tr, 0.0, 0.0, 1.0 - ar),
    lambda x, tl, al, tr, ar: _pick(x, tl, tr, 0.0, 0.0, x - tr),
    curvature=lambda x, tl, al, tr, ar: jnp.zeros_like(x),
)


def srelu(
    x: ArrayLike,
    left_threshold: ArrayLike = 0.0,
    left_slope: ArrayLike = 0.2,
    right_threshold: ArrayLike = 1.0,
    right_slope: ArrayLike = 1.0,
) -> jax.Array:
    """x between two thresholds; beyond them straight on with another slope.

    x: real array of shape (..., channels). left_threshold ≤ right_threshold and the two slopes: scalar or shape
    (channels,); all may be learned. It starts as leaky_relu with slope 0.2.

    Source: Jin, Xu, Feng, Wei, Xiong and Yan 2016.
    """
    return _srelu(x, left_threshold, left_slope, right_threshold, right_slope)
