"""Activations transformed for deep networks."""

import math
import numbers
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations._bind import leaf_key
from jaxopt_lite.activations._rectified import leaky_relu, prelu
from jaxopt_lite.activations._rule.arguments import real
from jaxopt_lite.activations._shaping.conditions import METHODS
from jaxopt_lite.activations._shaping.function import check_elementwise, name_of
from jaxopt_lite.activations._shaping.slope import tailored_slope
from jaxopt_lite.activations._shaping.solve import Solution, solve

FORMULA = ("input_scale", "input_shift", "output_shift", "output_scale")
LEAKY = (leaky_relu, prelu, jax.nn.leaky_relu)


class Shaped:
    """An activation shaped for a depth, as `shaped` returns it: x -> p (f(a x + b) + d).

    It is a pytree whose leaves are its numbers, and those of f if f is a `bind` or another callable pytree. A plain f,
    depth and method are static. In half precision everything is evaluated in float32 and rounded once.

    Args:
        function: f.
        depth: the depth that f was shaped for.
        method: "tat" or "dks".
        settings: the numbers: "input_scale" (a), "input_shift" (b), "output_shift" (d), "output_scale" (p), and
            keyword arguments of f.

    Example:
        >>> from jaxopt_lite.activations import shaped, tanh
        >>> f = shaped(tanh, 50)
        >>> f, f.method, round(f.settings["output_scale"], 2)
        (shaped(tanh, 50), 'tat', 15.94)
    """

    __slots__ = ("__weakref__", "depth", "function", "method", "settings")  # jax.jit needs weak references

    function: Callable[..., Any]
    depth: float
    method: str
    settings: dict[str, Any]

    def __init__(self, function: Callable[..., Any], depth: float, method: str, settings: dict[str, Any]) -> None:
        self.function = function
        self.depth = depth
        self.method = method
        self.settings = settings

    @property
    def name(self) -> str:
        """The call that makes it, for tables."""
        method = "" if self.method == "tat" else f", method={self.method!r}"
        function = name_of(self.function) if jax.tree_util.all_leaves([self.function]) else self.function
        return f"shaped({function}, {self.depth:g}{method})"

    def __call__(self, x: Any) -> jax.Array:
        x = real(self.name, x)
        wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
        a, b, d, p = (self.settings[name] for name in FORMULA)
        others = {name: number for name, number in self.settings.items() if name not in FORMULA}
        return (p * (self.function(a * wide + b, **others) + d)).astype(x.dtype)

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Shaped) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        leaves, structure = jax.tree.flatten(self)
        return structure, tuple(map(leaf_key, leaves))

    def __reduce__(self) -> tuple[Any, ...]:
        return Shaped, (self.function, self.depth, self.method, self.settings)


def shaped(fn: Callable[..., Any], depth: float, method: Literal["tat", "dks"] | None = None) -> Shaped:
    """`fn` scaled and shifted so that signals and gradients keep their size through `depth` layers.

    The result is x -> p (fn(a x + b) + d). With weights from `initializers.orthogonal()`, or normal ones of variance
    1 / fan_in such as Flax's defaults, biases 0, inputs of mean square 1 and no normalisation layers, a plain network
    with this activation after each of its `depth` layers has pre-activations and gradients of one size in all layers.

    - "tat" solves C'(1) = 1 and C''(1) = 0.3 / depth: gradients keep their size exactly. It needs a continuous slope,
      except that of `leaky_relu` and `prelu` it solves the negative slope, so that orthogonal inputs have similarity
      0.9 after the last layer.
    - "dks" solves C(0) = 0 and C'(1)^depth = 1.5: orthogonal inputs stay orthogonal, and gradients grow by √1.5 in all.

    For both, Q(1) = Q'(1) = 1. Q and C map the mean square of a layer's inputs and the similarity of two inputs to
    those of its outputs. Expectations are sums over 8192 points; the relative error of the conditions is below 1e-3.

    Args:
        fn: an elementwise function: one of this package, a `bind`, or one of yours. `leaky_relu` without its slope.
        depth: the number of activations between input and output, at least 1. In a network of blocks √(1-w²) x +
            w branch(x), w² times the number of activations in the branches. It may be fractional.
        method: "tat" or "dks". Default: TAT, or DKS where TAT has no solution.

    Returns:
        A callable pytree whose leaves are floats; arrays if fn has traced numbers, which they can be differentiated by.
        These are NaN where there is no solution.

    Raises:
        TypeError: `fn` is not an elementwise function.
        ValueError: `depth` is less than 1, the method is unknown, or no shape satisfies the conditions: of straight
            lines, `relu` and functions that jump.

    Example:
        >>> from jaxopt_lite.activations import gelu, initializers
        >>> f, init = shaped(gelu, 100), initializers.orthogonal()
        >>> x = jax.random.normal(jax.random.key(0), (64, 128))
        >>> for key in jax.random.split(jax.random.key(1), 100):
        ...     x = f(x @ init(key, (128, 128)))
        >>> bool(0.8 < jnp.sqrt(jnp.mean(x**2)) < 1.25)
        True

    Reference:
        Zhang, Botev and Martens, 2022, Deep learning without shortcuts (TAT). Martens et al., 2021, Rapid training of
        deep neural networks without skip connections or normalization layers (DKS).
    """
    check_elementwise("shaped", fn)
    _check(depth, method)
    if fn in LEAKY and method != "dks":
        slope = tailored_slope(depth)
        straight = dict(zip(FORMULA, (1.0, 0.0, 0.0, math.sqrt(2 / (1 + slope**2))), strict=True))
        return Shaped(fn, depth, "tat", {**straight, "negative_slope": slope})
    for name in [method] if method else METHODS:
        solution = solve(fn, depth, name)
        traced = isinstance(solution.error, jax.core.Tracer)
        if traced or _solves(solution, name):
            valid = jnp.where(_solves(solution, name), 1.0, jnp.nan) if traced else 1.0
            found = [number * valid if traced else float(number) for number in solution[:4]]
            return Shaped(fn, depth, name, dict(zip(FORMULA, found, strict=True)))
    raise ValueError(_refusal(fn, depth, method))


def _check(depth: Any, method: Any) -> None:
    if isinstance(depth, jax.core.Tracer):
        raise TypeError("shaped: depth is traced, but it is the fixed number of activations of a network; give a float")
    real_number = isinstance(depth, numbers.Real) and not isinstance(depth, bool)
    if not real_number or not 1 <= depth < math.inf:
        raise ValueError(
            f"shaped: depth={depth!r}; give the number of activations between input and output, at least 1"
        )
    if method not in (None, *METHODS):
        raise ValueError(
            f"shaped: method={method!r}; give one of {', '.join(map(repr, METHODS))}, or None for the best"
        )


def _solves(solution: Solution, method: str) -> Any:
    """Whether all conditions hold. Where f jumps E u'² is infinite; where it has a kink E u''², which TAT needs, is."""
    smooth = (solution.jumps < 0.1) & ((solution.kinks < 0.1) | (method != "tat"))
    return (solution.error < 1e-3) & smooth


def _refusal(fn: Callable[..., Any], depth: float, method: str | None) -> str:
    x = np.linspace(-8, 8, 1025)
    y, double = (np.asarray(jax.vmap(fn)(jnp.asarray(at, float)), float) for at in (x, 2 * x))
    bends = np.abs(np.diff(y, 2)) > 1e-5 * np.abs(y).max()
    if np.ptp(y) == 0:
        reason = "for single numbers it is constant"
    elif not bends.any():
        reason = "it is a straight line"
    elif np.allclose(double, 2 * y, rtol=1e-4, atol=1e-6):
        reason = "f(2x) = 2f(x), so that scale and shift are one number where two are needed"
    else:
        reason = "no scale and shift of input and output satisfy the conditions"
    return (
        f"shaped: {name_of(fn)} cannot be shaped for depth {depth:g}{f' with method={method!r}' if method else ''}: "
        f"{reason}; use shaped(activations.leaky_relu, {depth:g}), whose negative slope is solved, or a smooth "
        "function such as activations.gelu"
    )


def _flatten_with_keys(shaped: Shaped) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
    children = [(jax.tree_util.GetAttrKey(name), number) for name, number in shaped.settings.items()]
    opaque = jax.tree_util.all_leaves([shaped.function])
    if not opaque:
        children.append((jax.tree_util.GetAttrKey("function"), shaped.function))
    return children, (shaped.function if opaque else None, shaped.depth, shaped.method, tuple(shaped.settings))


def _unflatten(structure: tuple[Any, ...], children: Any) -> Shaped:
    function, depth, method, names = structure
    settings = dict(zip(names, children, strict=False))
    return Shaped(children[-1] if function is None else function, depth, method, settings)


jax.tree_util.register_pytree_with_keys(Shaped, _flatten_with_keys, _unflatten)
