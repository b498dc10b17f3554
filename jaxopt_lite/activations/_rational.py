"""A learned quotient of polynomials of degree 5 and 4, without poles."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lite.activations._elementwise import Formula, elementwise
from jaxopt_lite.activations._exponential import horner

# Least-squares fit of leaky_relu with slope 1/4 on [-3, 3], with an even denominator so that it starts without a kink.
NUMERATOR = (0.026, 0.625, 1.252, 2.485, 0.705, 0.188)
DENOMINATOR = (0.0, 3.976, 0.0, 0.301)


class _Quotient(NamedTuple):
    """N, Q and their first two derivatives in u, where u = x near zero and u = 1/x beyond 1, so no power overflows.

    Near: f = N/Q. Beyond: f = x N/Q, with both polynomials divided by the power of x that rules them.
    """

    near: jax.Array
    u: jax.Array
    sign: jax.Array
    n: tuple[jax.Array, jax.Array, jax.Array]
    q: tuple[jax.Array, jax.Array, jax.Array]


def _derivatives(coefficients: tuple[Any, ...], u: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    first = tuple(i * c for i, c in enumerate(coefficients))[1:]
    second = tuple(i * c for i, c in enumerate(first))[1:]
    return horner(coefficients, u), horner(first, u), horner(second, u)


def _quotient(x: jax.Array, c: tuple[jax.Array, ...]) -> _Quotient:
    near = jnp.abs(x) <= 1
    u = jnp.where(near, x, 1.0 / jnp.where(near, 1.0, x))
    above = tuple(jnp.where(near, c[i], c[5 - i]) for i in range(6))
    below: tuple[Any, ...] = (0.0, *c[6:])
    b = _derivatives(tuple(jnp.where(near, below[i], below[4 - i]) for i in range(5)), u)
    sign = jnp.where(b[0] < 0, -1.0, 1.0)
    power = (jnp.where(near, 1.0, u**4), jnp.where(near, 0.0, 4.0 * u**3), jnp.where(near, 0.0, 12.0 * u**2))
    q = (power[0] + sign * b[0], power[1] + sign * b[1], power[2] + sign * b[2])
    return _Quotient(near, u, sign, _derivatives(above, u), q)


def _ratios(p: _Quotient) -> tuple[jax.Array, jax.Array, jax.Array]:
    """N/Q and its first two derivatives in u."""
    value = p.n[0] / p.q[0]
    first = (p.n[1] - value * p.q[1]) / p.q[0]
    return value, first, (p.n[2] - 2.0 * first * p.q[1] - value * p.q[2]) / p.q[0]


def _value(x: jax.Array, *c: jax.Array) -> jax.Array:
    p = _quotient(x, c)
    g = p.n[0] / p.q[0]
    return jnp.where(p.near, g, x * g)


def _slope(x: jax.Array, *c: jax.Array) -> jax.Array:
    p = _quotient(x, c)
    value, first, _ = _ratios(p)
    return jnp.where(p.near, first, value - p.u * first)


def _curvature(x: jax.Array, *c: jax.Array) -> jax.Array:
    p = _quotient(x, c)
    second = _ratios(p)[2]
    return jnp.where(p.near, second, second * p.u * p.u * p.u)


def _by_numerator(i: int) -> Formula:
    def derivative(x: jax.Array, *c: jax.Array) -> jax.Array:
        p = _quotient(x, c)
        bounded = jnp.where(p.near, 1.0, x)
        return jnp.where(p.near, p.u**i, bounded * p.u ** (5 - i)) / p.q[0]

    return derivative


def _by_denominator(i: int) -> Formula:
    def derivative(x: jax.Array, *c: jax.Array) -> jax.Array:
        p = _quotient(x, c)
        bounded = jnp.where(p.near, 1.0, x)
        return -p.sign * (p.n[0] / p.q[0]) * (jnp.where(p.near, p.u**i, bounded * p.u ** (4 - i)) / p.q[0])

    return derivative


_rational = elementwise(
    "rational",
    _value,
    _slope,
    *(_by_numerator(i) for i in range(6)),
    *(_by_denominator(i) for i in range(1, 5)),
    curvature=_curvature,
)


def rational(
    x: ArrayLike,
    numerator: ArrayLike | Sequence[float] = NUMERATOR,
    denominator: ArrayLike | Sequence[float] = DENOMINATOR,
) -> jax.Array:
    """(p0 + p1 x + ... + p5 x⁵) / (1 + |q1 x + ... + q4 x⁴|), elementwise: no poles, and no overflow for large x.

    x: real array of shape (..., channels). numerator: the six p, shape (6,), or (6, channels) for one function a
    channel. denominator: the four q, shape (4,) or (4, channels). Both may be learned; they start near leaky_relu with
    slope 1/4. Another length is a ValueError.

    Source: Molina, Schramowski and Kersting 2019, Padé activation units.
    """
    p, q = jnp.asarray(numerator), jnp.asarray(denominator)
    if p.ndim < 1 or q.ndim < 1 or p.shape[0] != 6 or q.shape[0] != 4:
        raise ValueError(
            f"rational: numerator of shape {p.shape} and denominator of shape {q.shape}; "
            "give 6 numbers above and 4 below, with channels, if any, on a second axis"
        )
    return _rational(x, *p, *q)
