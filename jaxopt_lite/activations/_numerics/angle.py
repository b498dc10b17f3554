"""Sine in float32 with an angle that is reduced in plain integer arithmetic, which vectorises where XLA's does not."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxopt_lite.activations._numerics.exponential import choice, horner
from jaxopt_lite.activations._numerics.two_terms import total

# sin r = r + r³ P(r²) and cos r = 1 - r²/2 + r⁴ Q(r²) for |r| ≤ pi/4: Chebyshev fits, relative error 3e-9.
_SINE = (-0.1666666716337204, 0.008333331905305386, -0.0001984007831197232, 2.7248740934737725e-06)
_COSINE = (0.0416666641831398, -0.0013888298999518156, 2.4546981876483187e-05)
# pi/2 in four parts, the first three of 11 bits: their products with the number of quarter turns are exact.
_QUARTER = (1.5703125, 0.0004837512969970703, 7.549533620476723e-08, 2.563344151594519e-12)
_NEAR = 8192.0
_SHORT = 1.5703125  # pi/2 in 8 bits
# The digits of 2/pi behind the point, in words of 32 bits, after a word of zeros.
_DIGITS = (0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041)
_MOST = 100.0  # a second term beyond it belongs to an angle whose own last digit is worth many turns


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def wave(high: jax.Array, low: jax.Array | None, times: int = 1, eighths: int = 0) -> jax.Array:
    """sin(times × (high + low) + eighths × pi/4) for times 1 or 2; low is what the rounding of high lost, or None.

    Within 1 ulp for |high| < 8192; beyond, the angle of high is right within 1e-11, so that
    digits are lost only next to a multiple of pi. XLA's own float32 sine is correctly
    rounded, but takes four times as long on a CPU; on an accelerator it is two to three times as fast as this one and
    takes the place of it where one term and no multiple is asked for.
    """
    if high.dtype == jnp.float64 or jax.typeof(high).weak_type:
        return _by_xla(high, low, times, eighths)
    if low is None and times == 1 and jax.default_backend() != "cpu":
        return _by_xla(high, None, 1, eighths)
    return _reduced_wave(high, low, times, eighths)


def _reduced_wave(high: jax.Array, low: jax.Array | None, times: int, eighths: int) -> jax.Array:
    angle = _reduced(jnp.abs(high))
    further = low is not None or times > 1 or eighths % 2
    if further:
        angle = _turned(_signed(angle, high), low, times, eighths % 2)
    quarters, rest, tail = angle.quarters + jnp.uint32(eighths // 2), angle.rest, angle.tail
    square = rest * rest
    half = 0.5 * square
    sine = rest + (rest * (square * horner(_SINE, square)) + tail * (1.0 - half))
    cosine = 1.0 - half
    cosine = cosine + (((1.0 - cosine) - half) + (square * square * horner(_COSINE, square) - rest * tail))
    size = jnp.where(quarters & jnp.uint32(1) == 0, sine, cosine)
    negative = quarters & jnp.uint32(2) != 0
    if not further and eighths % 4 == 0:  # odd in the angle, of which only the size was looked at
        negative ^= jnp.signbit(high)
    sign = choice(negative, -1.0, 1.0, high)
    return jnp.where(jnp.isfinite(high), sign * size, jnp.nan)


@wave.defjvp
def _wave_rule(times: int, eighths: int, primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    slope = times * wave(*primals, times, eighths + 2)
    return wave(*primals, times, eighths), slope * (tangents[0] if primals[1] is None else tangents[0] + tangents[1])


def _by_xla(high: jax.Array, low: jax.Array | None, times: int, eighths: int) -> jax.Array:
    shift = (0.0 if low is None else times * low) + (eighths % 2) * math.pi / 4
    if times > 1:
        half = float(jnp.finfo(high.dtype).max) / 2  # twice as much is finite
        high = times * jnp.where(jnp.isfinite(high), jnp.clip(high, -half, half), high)
    angle = high + shift if low is not None or eighths % 2 else high  # -0.0 stays
    size = jnp.cos(angle) if eighths // 2 % 2 else jnp.sin(angle)
    return -size if eighths // 4 % 2 else size


class _Angle(NamedTuple):
    """quarters × pi/2 + rest + tail, with |rest| ≤ pi/4 and in tail what the rounding of rest lost."""

    quarters: jax.Array
    rest: jax.Array
    tail: jax.Array


def _reduced(a: jax.Array) -> _Angle:
    close = a < _NEAR
    near, far = _by_parts(jnp.minimum(a, _NEAR)), _by_digits(a)
    return _Angle(*(jnp.where(close, n, f) for n, f in zip(near, far, strict=True)))


def _signed(angle: _Angle, x: jax.Array) -> _Angle:
    quarters = jnp.where(x < 0, jnp.uint32(0) - angle.quarters, angle.quarters)
    sign = choice(x < 0, -1.0, 1.0, x)
    return _Angle(quarters, sign * angle.rest, sign * angle.tail)


def _by_parts(a: jax.Array) -> _Angle:
    """The quarter turns subtracted part by part (Cody and Waite 1980)."""
    count = jnp.round(a * (2 / math.pi))
    high, low = total(a - count * _QUARTER[0], -count * _QUARTER[1])
    third = count * _QUARTER[2]
    rest = high - third
    return _Angle(count.astype(jnp.uint32), rest, ((high - rest) - third) + (low - count * _QUARTER[3]))


def _by_digits(a: jax.Array) -> _Angle:
    """The digits behind the quarter turns times pi/2, the upper ones by a constant so short that it is exact."""
    turns, more = _turns(a)
    left = turns << 2 | more >> 6
    upper = (lax.bitcast_convert_type(left, jnp.int32) >> 16).astype(jnp.float32)
    lower = (left & jnp.uint32(0xFFFF)).astype(jnp.float32) + (more & jnp.uint32(63)).astype(jnp.float32) * 2.0**-6
    main = upper * (_SHORT * 2.0**-16)
    rounding = upper * ((math.pi / 2 - _SHORT) * 2.0**-16) + lower * (math.pi / 2 * 2.0**-32)
    rest = main + rounding
    return _Angle((turns + jnp.uint32(1 << 29)) >> 30, rest, (main - rest) + rounding)


def _turns(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """a / (2 pi) modulo 1, as 32 binary digits and 8 more, for float32 a ≥ 1 (Payne and Hanek 1983).

    With a = m 2^e, the digits of 2/pi that count are a window of 64 at a place that e says: those before it make whole
    turns of any m, those behind it are too small.
    """
    one = jnp.uint32
    bits = lax.bitcast_convert_type(a, jnp.uint32)
    m = bits & one(0x7FFFFF) | one(0x800000)
    place = jnp.clip(bits >> 23, 127, 254) - one(127 - 7)
    word, shift = place >> 5, place & one(31)

    def at(first: int) -> jax.Array:
        digits = jnp.full_like(bits, _DIGITS[first])
        for i in range(1, 5):
            digits = jnp.where(word == one(i), one(_DIGITS[first + i]), digits)
        return digits

    first, second, third = at(0), at(1), at(2)
    upper = first << shift | second >> 1 >> (one(31) - shift)
    lower = second << shift | third >> 1 >> (one(31) - shift)
    carried = jnp.zeros_like(m)
    for cut in (0, 8, 16, 24):  # m has 24 bits: its product with 8 more, and what is carried, fit in 32
        carried = m * (lower >> cut & one(255)) + (carried >> 8)
    return m * upper + (carried >> 8), carried & one(255)


def _turned(angle: _Angle, low: jax.Array | None, times: int, odd: int) -> _Angle:
    """times × (the angle + low), and one eighth of a turn further if odd: reduced again."""
    tail = angle.tail if low is None else angle.tail + jnp.clip(low, -_MOST, _MOST)
    coarse, fine = _QUARTER[0] + _QUARTER[1], _QUARTER[2] + _QUARTER[3]
    high, lost = total(times * angle.rest, jnp.full_like(angle.rest, odd * coarse / 2))
    tail = lost + (times * tail + odd * fine / 2)
    count = jnp.round((high + tail) * (2 / math.pi))
    main, rounding = high - count * coarse, tail - count * fine
    rest = main + rounding
    whole = lax.bitcast_convert_type(count.astype(jnp.int32), jnp.uint32)
    return _Angle(jnp.uint32(times) * angle.quarters + whole, rest, (main - rest) + rounding)
