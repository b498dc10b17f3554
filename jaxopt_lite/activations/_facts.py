"""The properties of an activation that can be measured: what `register` fills in and `check` compares with."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxopt_lite.activations._catalogue import Activation
from jaxopt_lite.activations._shaping.normal import normal_grid

_GRID = np.linspace(-12.0, 12.0, 24 * 1024 + 1)
_FAR = np.linspace(1e4, 1.1e4, 1001)
_HULL = np.concatenate([np.linspace(-30.0, 30.0, 1501), [-1e4, 1e4]])
_STEPS = np.linspace(-8.0, 8.0, 321)
_STEEPEST = 40.0  # neighbours on the grid that differ more than this slope explains are on both sides of a jump
_INFINITE = 20.0  # values beyond it within |x| ≤ 1e4 count as unbounded

Array = NDArray[np.float64]


class Facts(NamedTuple):
    """The measured fields of a catalogue row, under the names of `Activation`."""

    range: tuple[float, float]
    zero_centred: bool
    monotone: bool
    smooth: bool
    saturates: tuple[str, ...]
    kinks: tuple[float, ...]
    gain: float


def measure(row: Activation) -> Facts:
    """The facts of a row's function, in float32 arithmetic on the real line, with the row's settings."""
    value, slope, curvature = _derivatives(row.probe, np.concatenate([_GRID, -_FAR, _FAR]))
    on_grid, left, right = np.split(slope, [len(_GRID), len(_GRID) + len(_FAR)])
    kinks = _places([*_jumps(value[: len(_GRID)]), *_jumps(on_grid)])
    step = 1 / 256 if row.kind == "elementwise" else 1 / 32
    nodes, weights = normal_grid(step)
    hull, normal, steps = _outputs(row, _HULL if row.kind == "elementwise" else _HULL[::10], nodes, _STEPS)
    mean, square = _moments(normal, weights)
    return Facts(
        range=_range(hull),
        zero_centred=abs(mean) < 1e-5,
        monotone=min(float(np.diff(steps, axis=axis).min()) for axis in range(steps.ndim - 1)) >= -1e-6,
        smooth=not kinks and not len(_jumps(curvature[: len(_GRID)])),
        saturates=tuple(side for side, far in (("left", left), ("right", right)) if np.abs(far).max() < 1e-6),
        kinks=kinks,
        gain=float(1 / np.sqrt(square)),
    )


def differences(claimed: Activation, found: Facts) -> list[str]:
    """One text for each claim of a row that the measured facts contradict."""
    out = [
        f"{field} is {getattr(claimed, field)!r}, but measured {getattr(found, field)!r}"
        for field in ("zero_centred", "monotone", "smooth", "saturates")
        if getattr(claimed, field) != getattr(found, field)
    ]
    if not all(map(_same_end, claimed.range, found.range, (1.0, -1.0))):
        out.append(f"range is {claimed.range}, but measured {found.range}")
    apart = [k for k in found.kinks if all(abs(k - known) > 0.002 for known in claimed.kinks)]
    missing = [k for k in claimed.kinks if all(abs(k - seen) > 0.002 for seen in found.kinks)]
    if apart or missing:
        out.append(f"kinks are {claimed.kinks}, but measured {found.kinks}")
    if abs(claimed.gain / found.gain - 1) > 2e-4:
        out.append(f"gain is {claimed.gain}, but measured {found.gain:.6f}")
    return out


def _same_end(claimed: float, found: float, inward: float) -> bool:
    """Whether the values reach the claimed end of the range, within 0.05, and do not pass it."""
    if np.isinf(claimed) or np.isinf(found):
        return claimed == found
    return -1e-6 * max(1.0, abs(claimed)) <= inward * (found - claimed) < 0.05


def _derivatives(f: Callable[[jax.Array], jax.Array], x: Array) -> tuple[Array, ...]:
    """f, f', f'' by forward mode."""

    @jax.jit
    def at(x: jax.Array) -> tuple[jax.Array, ...]:
        ones = jnp.ones_like(x)
        (value, slope), (_, curvature) = jax.jvp(lambda x: jax.jvp(f, (x,), (ones,)), (x,), (ones,))
        return value, slope, curvature

    return tuple(np.asarray(y, np.float64) for y in at(jnp.asarray(x, jnp.float32)))


def _jumps(values: Array) -> Array:
    return _GRID[np.flatnonzero(np.abs(np.diff(values)) > _STEEPEST * (_GRID[1] - _GRID[0]))]


def _places(found: list[float]) -> tuple[float, ...]:
    """The middle of each group of neighbouring jumps, to three decimals."""
    groups: list[list[float]] = []
    for x in sorted(map(float, found)):
        if groups and x - groups[-1][-1] < 0.004:
            groups[-1].append(x)
        else:
            groups.append([x])
    half_step = (_GRID[1] - _GRID[0]) / 2
    return tuple(round(float((g[0] + g[-1]) / 2 + half_step), 3) + 0.0 for g in groups)


def _outputs(row: Activation, *grids: Array) -> list[Array]:
    """The outputs on each grid, all of one call. For each pair of entries with coordinates in the grid, shape
    (n, n, outputs); for elementwise rows of each single entry, shape (n, 1)."""
    settings = {**row.settings, **{name: jnp.asarray(value) for name, value in row.initial.items()}}
    if row.kind == "elementwise":
        inputs = [grid[:, None] for grid in grids]
    else:
        inputs = [np.stack(np.meshgrid(grid, grid, indexing="ij"), -1) for grid in grids]
    x = np.concatenate([each.reshape(-1, each.shape[-1]) for each in inputs])
    y = np.asarray(row.function(jnp.asarray(x, jnp.float32), **settings), np.float64)
    ends = np.cumsum([each[..., 0].size for each in inputs])[:-1]
    return [part.reshape(*each.shape[:-1], -1) for each, part in zip(inputs, np.split(y, ends), strict=True)]


def _range(y: Array) -> tuple[float, float]:
    low, high = float(y.min()), float(y.max())
    return -np.inf if low < -_INFINITE else low, np.inf if high > _INFINITE else high


def _moments(y: Array, weights: Array) -> tuple[float, float]:
    """E f(z) and E f(z)² for standard normal entries."""
    joint = weights[:, None] if y.ndim == 2 else weights[:, None, None] * weights[None, :, None]
    return tuple(float((joint * moment).sum() / y.shape[-1]) for moment in (y, y * y))  # type: ignore[return-value]
