"""Numbers as an unevaluated sum of two, for arguments of exp that are themselves rounded products."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class TwoTerms(NamedTuple):
    """high + low, with |low| no larger than the rounding error of high."""

    high: Any
    low: Any


def constant(value: float, x: jax.Array) -> TwoTerms:
    """A Python number rounded to the dtype of x, and what that dtype loses of it."""
    high = np.asarray(value, x.dtype).item()
    return TwoTerms(high, value - high)


def product(a: Any, b: jax.Array) -> TwoTerms:
    """a × b exactly (Dekker 1971), for magnitudes whose square neither overflows nor underflows."""
    high = _rounded(a * b)
    (a1, a2), (b1, b2) = _halves(a, b.dtype), _halves(b, b.dtype)
    return TwoTerms(high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2)


def total(a: Any, b: jax.Array) -> TwoTerms:
    """a + b exactly (Knuth 1969)."""
    high = a + b
    part = high - a
    return TwoTerms(high, (a - (high - part)) + (b - part))


def _rounded(a: jax.Array) -> jax.Array:
    """The product as it is stored. Else XLA:CPU contracts it with a later sum into one instruction that never rounds
    it, and the term computed to make up for that rounding is counted twice; a minimum stands in between."""
    return jnp.minimum(a, 1e308 if a.dtype == jnp.float64 else 3e38)


def _halves(a: Any, dtype: Any) -> tuple[Any, Any]:
    """a as a sum of two numbers with half the digits each, so that products of them are exact.

    The upper half is cut out of the bits, which is cheaper than Veltkamp's multiplication and cannot overflow. It has
    no derivative, the lower half has that of a: together they have the right one.
    """
    integer, mask = (jnp.int64, -(1 << 27)) if dtype == jnp.float64 else (jnp.int32, -(1 << 12))
    if isinstance(a, float):
        number = np.asarray(a, dtype)
        upper = (number.view(integer) & np.asarray(mask, integer)).view(dtype)
        return upper.item(), (number - upper).item()
    if jax.typeof(a).weak_type:  # a Python number, which has to stay one: arithmetic keeps that, bits do not
        shifted = _rounded(a * (134217729.0 if dtype == jnp.float64 else 4097.0))
        upper = shifted - (shifted - a)
        return upper, a - upper
    bits = lax.bitcast_convert_type(a, integer)
    upper = lax.bitcast_convert_type(bits & jnp.asarray(mask, integer), a.dtype)
    return upper, a - upper
