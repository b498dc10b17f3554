"""A learned quotient of polynomials of degree 5 and 4, without poles."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lite.activations._numerics.exponential import choice, horner
from jaxopt_lite.activations._rule.elementwise import Formula, elementwise

# Least-squares fit of leaky_relu with slope 1/5 on [-3, 3], within 0.03; q1 = 0, so that it starts without a kink at 0.
NUMERATOR = (0.022, 0.563, 1.527, 3.17, 1.275, 0.286)
DENOMINATOR = (0.0, 4.92, 0.5, 0.402)


class _Point(NamedTuple):
    """Where to evaluate polynomials: at u = x near zero, at u = 1/x beyond 1, where no power overflows."""

    near: jax.Array
    u: jax.Array
    sign: jax.Array
    below: jax.Array


def _at(p: _Point, coefficients: Sequence[Any]) -> jax.Array:
    """The polynomial, divided by the power of x of its last coefficient where x is large."""
    pairs = zip(coefficients, coefficients[::-1], strict=True)
    c = tuple(
        choice(p.near, low, high, p.u)
        if isinstance(low, float) and isinstance(high, float)
        else jnp.where(p.near, low, high)
        for low, high in pairs
    )
    return (c[0] + c[1] * p.u) + (p.u * p.u) * horner(c[2:], p.u)


def _point(x: jax.Array, c: tuple[jax.Array, ...]) -> _Point:
    near = jnp.abs(x) <= 1
    u = jnp.where(near, x, 1.0 / jnp.where(near, 1.0, x))
    start = _Point(near, u, u, u)
    b = _at(start, (0.0, *c[6:]))
    return start._replace(sign=choice(b < 0, -1.0, 1.0, x), below=_at(start, (1.0, 0.0, 0.0, 0.0, 0.0)) + jnp.abs(b))


def _combined(n: Sequence[Any], q: Sequence[Any], weight: Callable[[int, int], int]) -> list[Any]:
    """The coefficients of sum over i, j of weight(i, j) n[i] q[j] x^(i + j - 1)."""
    out: list[Any] = [0.0] * (len(n) + len(q) - 2)
    for i, a in enumerate(n):
        for j, b in enumerate(q):
            if weight(i, j) and i + j:
                out[i + j - 1] = out[i + j - 1] + weight(i, j) * a * b
    return out


def _sum(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    return [(a[i] if i < len(a) else 0.0) + (b[i] if i < len(b) else 0.0) for i in range(max(len(a), len(b)))]


def _first(i: int, j: int) -> int:
    return i - j


def _second(i: int, j: int) -> int:
    return i - 2 * j


# f = N / Q with Q = 1 + s B, s = sign of B. f' = (N' Q - N Q') / Q² and f'' are each one polynomial over a power of Q,
# with coefficients made from the parameters: terms that cancel are then left out instead of subtracted.
def _split(c: tuple[jax.Array, ...]) -> tuple[list[Any], list[Any], list[Any]]:
    """N' Q - N Q' as even + s odd, and B."""
    b = [0.0, *c[6:]]
    return _combined(c[:6], [1.0], _first), _combined(c[:6], b, _first), b


def _value(x: jax.Array, *c: jax.Array) -> jax.Array:
    p = _point(x, c)
    ratio = _at(p, c[:6]) / p.below
    return jnp.where(p.near, ratio, x * ratio)


def _slope(x: jax.Array, *c: jax.Array) -> jax.Array:
    p = _point(x, c)
    even, odd, _ = _split(c)
    top = _at(p, _sum(even, [0.0] * 9)) + p.sign * _at(p, _sum(odd, [0.0] * 9))
    return top / (p.below * p.below)


def _curvature(x: jax.Array, *c: jax.Array) -> jax.Array:
    p = _point(x, c)
    even, odd, b = _split(c)
    # of degree 9: the terms above cancel identically, for f is a line and a proper fraction
    one = _sum(_combined(even, [1.0], _second), _combined(odd, b, _second))
    other = _sum(_combined(odd, [1.0], _second), _combined(even, b, _second))
    top = _at(p, _sum(one[:10], [0.0] * 10)) + p.sign * _at(p, _sum(other[:10], [0.0] * 10))
    ratio = top / (p.below * p.below * p.below)
    return jnp.where(p.near, ratio, ratio * p.u * p.u * p.u)


def _times_power(factor: jax.Array, p: _Point, x: jax.Array, i: int, ruling: int) -> jax.Array:
    """factor × x^i, divided by the ruling power where x is large; small powers meet the factor before they vanish."""
    far = x * factor if i > ruling else factor if i == ruling else (factor * p.u) * p.u ** (ruling - i - 1)
    return jnp.where(p.near, factor * p.u**i, far)


def _by_numerator(i: int) -> Formula:
    def derivative(x: jax.Array, *c: jax.Array) -> jax.Array:
        p = _point(x, c)
        return _times_power(1.0 / p.below, p, x, i, 4)

    return derivative


def _by_denominator(i: int) -> Formula:
    def derivative(x: jax.Array, *c: jax.Array) -> jax.Array:
        p = _point(x, c)
        return _times_power(-p.sign * (_at(p, c[:6]) / p.below / p.below), p, x, i, 3)

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
    """(p0 + p1 x + ... + p5 x⁵) / (1 + |q1 x + ... + q4 x⁴|), elementwise: without poles.

    Args:
        x: real array of shape (..., channels); integers become floats.
        numerator: the coefficients p0 to p5, shape (6,), or (6, channels) for one function per channel. May be traced
            and learned. Default: with the denominator a fit of leaky_relu with slope 1/5.
        denominator: the coefficients q1 to q4, shape (4,) or (4, channels). May be traced and learned. With q4 not 0,
            nothing overflows for large x. With q4 = 0 the value is right for x up to ±1e6, the first derivative up to
            ±1e4 and the second up to ±1e3; beyond, powers of 1/x underflow and the results may be 0 or NaN.

    Returns:
        An array like x, in (-inf, inf) with the default settings.

    Raises:
        ValueError: if the numerator has not 6 coefficients or the denominator not 4.
        TypeError: if x is complex, boolean or no array.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(y), 3) for y in rational(jnp.array([-1.0, 0.0, 2.0]))]
        [-0.205, 0.022, 1.998]

    Reference:
        Molina, Schramowski and Kersting 2019, Padé activation units.
    """
    above, below = np.shape(numerator), np.shape(denominator)
    if above[:1] != (6,) or below[:1] != (4,):
        raise ValueError(
            f"rational: numerator of shape {above} and denominator of shape {below}; "
            "give 6 numbers above and 4 below, with channels, if any, on a second axis"
        )
    return _rational(x, *numerator, *denominator)  # type: ignore[misc]
