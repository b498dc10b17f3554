"""How far an activation and its first two derivatives are from the truth, in units in the last place."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from jaxopt_lite.activations import CATALOGUE, Activation
from jaxopt_lite.bench._activation_truth import Floats, truth

Array = NDArray[Any]
Evaluate = Callable[[Array], tuple[Array, ...]]
DTYPES: dict[str, Any] = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32}
_ROOT_ZONE, _ROOT_FLOOR = 0.25, 2.0**-4
# Where formulas change branch, derivatives cross zero, exponentials or squares leave the range of float32.
_LANDMARKS = (
    *(
        0.1,
        0.25,
        0.5,
        0.55,
        0.6,
        0.7071,
        0.75,
        1.0,
        1.2225,
        1.2785,
        1.4142,
        1.5,
        2.0,
        2.3994,
        2.5,
        3.0,
        4.0,
        5.0,
        6.0,
        6.5,
    ),
    *(
        8.0,
        8.7,
        9.0,
        9.2,
        10.0,
        10.27,
        12.0,
        13.0,
        13.2,
        15.0,
        16.6,
        17.3,
        20.0,
        40.0,
        43.67,
        44.36,
        47.0,
        50.0,
        51.3,
        80.0,
    ),
    *(87.3, 88.7, 91.9, 95.0, 104.0, 150.0, 200.0, 1e3, 1e4, 1e10, 1e15, 1.8e19, 1e30, 3.4e38),
)


class Error(NamedTuple):
    """The audit of one order.

    Attributes:
        ulp: the largest error, in units in the last place.
        at: the input where it is.
        broken: how many results that should be finite are NaN or infinite.
        strict: the largest error if the unit near roots is not bounded below.
    """

    ulp: float
    at: float
    broken: int
    strict: float = float("nan")


def orders(f: Callable[[jax.Array], jax.Array], compiler_options: dict[str, Any] | None = None) -> Evaluate:
    """f, f', f'' of an elementwise function, each derivative by reverse mode; options as of `jax.jit`."""

    def first(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, back = jax.vjp(f, x)
        return back(jnp.ones_like(y))[0], y

    def both(x: jax.Array) -> tuple[jax.Array, ...]:
        slope, back, y = jax.vjp(first, x, has_aux=True)
        return y, slope, back(jnp.ones_like(slope))[0]

    compiled = jax.jit(both, compiler_options=compiler_options)
    return lambda x: tuple(np.asarray(y) for y in compiled(jnp.asarray(x)))


def all_halves(dtype: str) -> Array:
    """Every finite, normal (or zero) number of a 16-bit type."""
    return _usable(np.arange(2**16, dtype=np.uint16).view(DTYPES[dtype]), dtype)


def some_singles(stride: int, start: int = 0, stop: int = 2**32, around: int = 1024) -> Array:
    """Every stride-th float32 pattern, and the patterns around the landmarks."""
    patterns = [np.arange(start, stop, stride, dtype=np.int64)]
    if start == 0:
        for x in (*_LANDMARKS, *(-x for x in _LANDMARKS)):
            centre = int(np.float32(x).view(np.uint32))
            patterns.append(np.arange(centre - around, centre + around + 1, dtype=np.int64))
    return _usable(np.concatenate(patterns).astype(np.uint32).view(np.float32), "float32")


def _usable(x: Array, dtype: str) -> Array:
    with np.errstate(invalid="ignore"):  # signalling NaNs among the patterns
        wide = np.abs(x.astype(np.float64))
    return x[np.isfinite(wide) & ((wide == 0) | (wide >= float(ml_dtypes.finfo(DTYPES[dtype]).tiny)))]


class Reference(NamedTuple):
    """The sorted points of an audit, the truth of each order there, where it is judged, and where roots are near."""

    dtype: str
    points: Floats
    true: tuple[Floats, ...]
    judged: tuple[Array, ...]
    near_roots: tuple[Array, ...]


def reference(name: str, dtype: str, x: Array, **settings: Any) -> Reference:
    """The truth of a row at the points x; at kinks only the value is judged."""
    points = np.sort(x.astype(np.float64))
    row = CATALOGUE[name]
    true = truth(name, points, **{**row.settings, **row.initial, **settings})
    smooth = ~np.isin(points, row.kinks)
    zones = tuple(near_root(row, points, true[order:]) for order in range(3))
    return Reference(dtype, points, true, (np.ones_like(smooth), smooth, smooth), zones)


def audit(against: Reference, evaluate: Evaluate) -> tuple[Error, ...]:
    """The errors of f, f', f'' where the true result is a normal number of the type.

    Within 25 % of an isolated root the unit is taken at 2^-4 or more.
    """
    got = evaluate(against.points.astype(DTYPES[against.dtype]))
    found = []
    for y, t, judged, near in zip(got, *against[2:], strict=True):
        x, y = against.points, y.astype(np.float64)
        error = error_of(x, y, t, against.dtype, judged, near)
        strict = error_of(x[near], y[near], t[near], against.dtype, judged[near], np.zeros(near.sum(), bool))
        found.append(error._replace(strict=max(error.ulp, strict.ulp)))
    return tuple(found)


def error_of(x: Floats, y: Floats, t: Floats, dtype: str, judged: Array, near_root: Array) -> Error:
    """The largest error of results y at points x, of which t is the truth, over the points to be judged."""
    info = ml_dtypes.finfo(DTYPES[dtype])
    size = np.abs(t)
    finite = judged & (size <= float(info.max))
    broken = finite & ~np.isfinite(y)
    normal = finite & (size >= float(info.tiny)) & ~broken
    unit_at = np.where(near_root, np.maximum(size, _ROOT_FLOOR), size)
    _, exponent = np.frexp(np.where(normal, unit_at, 1.0))
    with np.errstate(invalid="ignore"):
        error = np.where(normal, np.abs(y - t) / np.ldexp(1.0, exponent - 1 - info.nmant), 0.0)
        # below the normal numbers, and at an exact zero, the result must be as small
        small = finite & ~normal & ~broken
        error = np.where(small & (np.abs(y - t) > 1.02 * float(info.tiny)), np.inf, error)
    worst = int(np.argmax(error)) if len(error) else 0
    return Error(float(error[worst]), float(x[worst]), int(broken.sum())) if len(error) else Error(0.0, 0.0, 0)


def near_root(row: Activation, x: Floats, true: tuple[Floats, ...]) -> Array:
    """Within 25 % of a point where the truth changes sign, or touches zero; `true` is it and its derivatives.

    A root at 0 does not count, for floating point is finest there; but in rows that mix several entries, where it is
    the difference of two results that vanishes, all |x| < 1/4 do.
    """
    t = true[0]
    changes = np.sign(t[1:]) * np.sign(t[:-1]) < 0
    if len(true) > 1:
        changes |= (np.sign(true[1][1:]) * np.sign(true[1][:-1]) < 0) & (np.abs(t[1:]) < 0.05) & (np.abs(x[1:]) > 1e-3)
    roots = x[1:][changes | _oscillating(x, true)]
    mixed = (np.abs(x) < _ROOT_ZONE) & (row.kind == "axis" and len(true) == 1)
    if not len(roots):
        return mixed
    right = np.searchsorted(roots, x)
    nearest = (roots[np.minimum(right, len(roots) - 1)], roots[np.maximum(right - 1, 0)])
    return mixed | np.logical_or(*(np.abs(x - r) <= _ROOT_ZONE * np.abs(r) for r in nearest))


def _oscillating(x: Floats, true: tuple[Floats, ...]) -> Array:
    """Where the slope changes sign so often within 25 % that samples are too far apart to show each root."""
    if len(true) < 2:
        return np.zeros(len(x) - 1, bool)
    turns = x[1:][np.sign(true[1][1:]) * np.sign(true[1][:-1]) < 0]
    ends = np.sort([(1 - _ROOT_ZONE) * x[1:], (1 + _ROOT_ZONE) * x[1:]], axis=0)
    return np.searchsorted(turns, ends[1]) - np.searchsorted(turns, ends[0]) > 20
