"""The truth activations are audited against: each formula in float64, with its derivatives by exact rules.

A `Jet` is a value and its first two derivatives in one variable. The formulas below are written once, from the
definitions, and share no code with the implementation; elementary jets are written so that nothing cancels in a tail.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Jet:
    """f, f', f'' at an array of points."""

    f: Any
    d: Any
    dd: Any

    __array_ufunc__: ClassVar[None] = None  # a numpy number on the left defers to the operators below

    def __add__(self, other: Any) -> "Jet":
        o = _jet(other)
        return Jet(self.f + o.f, self.d + o.d, self.dd + o.dd)

    def __neg__(self) -> "Jet":
        return Jet(-self.f, -self.d, -self.dd)

    def __sub__(self, other: Any) -> "Jet":
        return self + -_jet(other)

    def __rsub__(self, other: Any) -> "Jet":
        return _jet(other) - self

    def __mul__(self, other: Any) -> "Jet":
        o = _jet(other)
        return Jet(self.f * o.f, self.d * o.f + self.f * o.d, self.dd * o.f + 2 * self.d * o.d + self.f * o.dd)

    def __truediv__(self, other: Any) -> "Jet":
        return self * _jet(other).through(lambda v: (1 / v, -1 / v / v, 2 / v / v / v))

    def __rtruediv__(self, other: Any) -> "Jet":
        return _jet(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def through(self, outer: Callable[[Any], tuple[Any, Any, Any]]) -> "Jet":
        """The composition with a function that gives its value and two derivatives."""
        g, dg, ddg = outer(self.f)
        return Jet(g, dg * self.d, ddg * self.d * self.d + dg * self.dd)


def _jet(x: Any) -> Jet:
    return x if isinstance(x, Jet) else Jet(x, 0.0, 0.0)


def variable(x: Floats) -> Jet:
    """The identity: what formulas are evaluated at."""
    return Jet(x, np.ones_like(x), np.zeros_like(x))


def where(condition: Any, a: Any, b: Any) -> Jet:
    """One jet or the other."""
    a, b = _jet(a), _jet(b)
    return Jet(np.where(condition, a.f, b.f), np.where(condition, a.d, b.d), np.where(condition, a.dd, b.dd))


def _sigmoid(v: Floats) -> tuple[Floats, Floats, Floats]:
    e = np.exp(-np.abs(v))
    s, ds = np.where(v < 0, e, 1.0) / (1 + e), e / (1 + e) ** 2
    return s, ds, -ds * np.tanh(v / 2)


def _tanh(v: Floats) -> tuple[Floats, Floats, Floats]:
    e = np.exp(-2 * np.abs(v))
    return np.tanh(v), 4 * e / (1 + e) ** 2, -8 * np.tanh(v) * e / (1 + e) ** 2


def _softplus(v: Floats) -> tuple[Floats, Floats, Floats]:
    s, ds, _ = _sigmoid(v)
    return np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v))), s, ds


def _expm1(v: Floats) -> tuple[Floats, Floats, Floats]:
    e = np.exp(v)
    return np.expm1(v), e, e


def _exp(v: Floats) -> tuple[Floats, Floats, Floats]:
    e = np.exp(v)
    return e, e, e


def _sine(v: Floats) -> tuple[Floats, Floats, Floats]:
    return np.sin(v), np.cos(v), -np.sin(v)


def _normal(v: Floats) -> tuple[Floats, Floats, Floats]:
    """The normal distribution function."""
    from scipy.special import ndtr

    density = np.exp(-v * v / 2) / np.sqrt(2 * np.pi)
    return ndtr(v), density, -v * density


def _tanh_excess(v: Floats) -> tuple[Floats, Floats, Floats]:
    """x - tanh(x), by its series near zero."""
    small, t = np.clip(v, -0.05, 0.05), np.tanh(v)
    s = small * small
    series = small * s * (1 / 3 - s * (2 / 15 - s * (17 / 315 - s * (62 / 2835 - s * 1382 / 155925))))
    return np.where(np.abs(v) < 0.05, series, v - t), t * t, 2 * t * _tanh(v)[1]


def _magnitude(x: Jet) -> Jet:
    return where(x.f < 0, -x, x)


def _elu(x: Jet, alpha: Any, beta: Any) -> Jet:
    q = where(x.f > 0, 0.0, x / beta)
    return where(x.f > 0, x, alpha * q.through(_expm1))


def _gelu_tanh(x: Jet) -> Jet:
    near = where(np.abs(x.f) > 50, np.sign(x.f) * 50.0, x)
    return x * (2 * np.sqrt(2 / np.pi) * (near + 0.044715 * near * near * near)).through(_sigmoid)


def _gelu(x: Jet) -> Jet:
    near = where(np.abs(x.f) > 50, np.sign(x.f) * 50.0, x)
    return x * near.through(_normal)


def _logistic(x: Jet, v: Jet) -> Jet:
    """x × logistic(v), and 0 where the logistic function is."""
    dead = v.f < -740
    return where(dead, 0.0, where(dead, 0.0, x) * where(dead, 0.0, v).through(_sigmoid))


def _acon_c(x: Jet, p1: Any, p2: Any, beta: Any) -> Jet:
    v = beta * (_jet(p1) - p2) * x
    return _logistic(_jet(p1) * x, v) + _logistic(_jet(p2) * x, -v)


def _mish(x: Jet) -> Jet:
    return x * x.through(_softplus).through(_tanh)


def _squareplus(x: Jet, b: float) -> Jet:
    def radius(v: Floats) -> tuple[Floats, Floats, Floats]:
        r = np.hypot(v, np.sqrt(b))
        return r, v / r, b / r / r / r

    r = x.through(radius)
    return where(x.f < 0, (0.5 * _jet(b)) / (r + _magnitude(x)), 0.5 * (x + r))


def _soft_sign(v: Floats) -> tuple[Floats, Floats, Floats]:
    h = 1 + np.abs(v)
    return v / h, 1 / h / h, np.where(v < 0, 2, -2) / h / h / h


def _clip(x: Jet, low: float, high: float) -> Jet:
    return where(x.f < low, low, where(x.f > high, high, x))


def _hard_sigmoid(x: Jet) -> Jet:
    return (_clip(x, -3.0, 3.0) + 3) / 6


def _sparse_plus(x: Jet) -> Jet:
    inside = _clip(x, -1.0, 1.0) + 1
    return where(x.f >= 1, x, where(x.f <= -1, 0.0, inside * inside * 0.25))


def _srelu(x: Jet, left_threshold: Any, left_slope: Any, right_threshold: Any, right_slope: Any) -> Jet:
    tl, tr = _jet(left_threshold), _jet(right_threshold)
    return where(x.f > tr.f, tr + right_slope * (x - tr), where(x.f < tl.f, tl + left_slope * (x - tl), x))


def _snake(x: Jet, alpha: Any) -> Jet:
    s = (_jet(alpha) * x).through(_sine)
    return x + s * s / alpha


def _gaussian(x: Jet) -> Jet:
    near = where(np.abs(x.f) > 50, 50.0, x)
    return (-(near * near)).through(_exp)


def _horner(coefficients: Any, x: Jet) -> Jet:
    total = _jet(coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def _rational(x: Jet, numerator: Any, denominator: Any) -> Jet:
    b = _horner(denominator, x) * x
    plain = _horner(numerator, x) / (1 + _magnitude(b))
    if any(isinstance(c, Jet) for c in (*numerator, *denominator)):
        return plain
    # far out: a line and a proper fraction, so that the second derivative is not a difference of large terms
    sign = np.where(b.f < 0, -1.0, 1.0)
    fractions = []
    for s in (1.0, -1.0):
        q = np.array([1.0, *(s * np.asarray(denominator))])
        line, remainder = np.polynomial.polynomial.polydiv(np.asarray(numerator), q)
        fractions.append(_horner(tuple(line), x) + _horner(tuple(remainder), x) / _horner(tuple(q), x))
    return where(np.abs(x.f) < 2, plain, where(sign > 0, *fractions))


def _largest(x: Jet, floor: float = 0.0) -> Jet:
    return where(x.f > floor, x, floor)


def _log_sigmoid(x: Jet) -> Jet:
    return -((-x).through(_softplus))


# Along the probe of each row: f(x); the gate with 1 beside it; the first of two entries with 0 as the other.
TRUTH: dict[str, Callable[..., Jet]] = {
    "identity": lambda x: x,
    "relu": _largest,
    "relu6": lambda x: _clip(x, 0.0, 6.0),
    "leaky_relu": lambda x, negative_slope=0.01: where(x.f > 0, x, negative_slope * x),
    "prelu": lambda x, negative_slope: where(x.f > 0, x, negative_slope * x),
    "srelu": _srelu,
    "relu_squared": lambda x: _largest(x) * _largest(x),
    "threshold": lambda x, threshold, value: where(x.f > threshold, x, value),
    "elu": lambda x, alpha=1.0: _elu(x, alpha, 1.0),
    "celu": lambda x, alpha=1.0: _elu(x, alpha, alpha),
    "selu": lambda x: 1.0507009873554804934193349852946 * _elu(x, 1.6732632423543772848170429916717, 1.0),
    "pelu": lambda x, alpha, beta: where(x.f > 0, _jet(alpha) / beta * x, _elu(x, alpha, beta)),
    "gelu": _gelu_tanh,
    "gelu_exact": _gelu,
    "quick_gelu": lambda x: _logistic(x, 1.702 * x),
    "silu": lambda x: _logistic(x, x),
    "swish": lambda x, beta: _logistic(x, _jet(beta) * x),
    "acon_c": _acon_c,
    "mish": _mish,
    "softplus": lambda x: x.through(_softplus),
    "squareplus": lambda x, b=4.0: _squareplus(x, b),
    "sparse_plus": _sparse_plus,
    "hard_silu": lambda x: where(x.f > 3, x, where(x.f < -3, 0.0, x * _hard_sigmoid(x))),
    "sigmoid": lambda x: x.through(_sigmoid),
    "hard_sigmoid": _hard_sigmoid,
    "sparse_sigmoid": lambda x: (_clip(x, -1.0, 1.0) + 1) / 2,
    "log_sigmoid": _log_sigmoid,
    "tanh": lambda x: x.through(_tanh),
    "hard_tanh": lambda x: _clip(x, -1.0, 1.0),
    "soft_sign": lambda x: x.through(_soft_sign),
    "binary_step": lambda x: where(x.f >= 0, 1.0, 0.0) * where(True, 1.0, 0 * x),
    "softshrink": lambda x, lambd=0.5: where(np.abs(x.f) > lambd, where(x.f > 0, x - lambd, x + lambd), 0.0),
    "hardshrink": lambda x, lambd=0.5: where(np.abs(x.f) > lambd, x, 0.0),
    "tanhshrink": lambda x: x.through(_tanh_excess),
    "sine": lambda x: x.through(_sine),
    "snake": _snake,
    "gaussian": _gaussian,
    "rational": _rational,
    "glu": lambda x: x.through(_sigmoid),
    "reglu": _largest,
    "geglu": _gelu,
    "swiglu": lambda x: _logistic(x, x),
    "bilinear": lambda x: x,
    "maxout": _largest,
    "crelu": _largest,
    "softmax": lambda x: x.through(_sigmoid),
    "log_softmax": _log_sigmoid,
    "sparsemax": lambda x: (_clip(x, -1.0, 1.0) + 1) / 2,
}


def truth(name: str, x: Floats, **settings: Any) -> tuple[Floats, ...]:
    """f, f', f'' of the row along its probe, in float64."""
    with np.errstate(all="ignore"):
        jet = TRUTH[name](variable(x), **settings)
        return tuple(np.broadcast_to(part, x.shape) for part in (jet.f, jet.d, jet.dd))


def truth_by(name: str, x: Floats, setting: str, entry: int | None = None, **settings: Any) -> Floats:
    """The derivative in one setting (or one entry of it), in float64."""
    value = settings[setting]
    moving = Jet(value if entry is None else value[entry], 1.0, 0.0)
    replaced = moving if entry is None else [moving if i == entry else v for i, v in enumerate(value)]
    with np.errstate(all="ignore"):
        jet = TRUTH[name](Jet(x, 0.0, 0.0), **{**settings, setting: replaced})
    return np.broadcast_to(np.asarray(jet.d, np.float64), x.shape)
