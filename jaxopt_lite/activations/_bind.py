"""An activation together with its settings, as one callable pytree whose numbers are leaves."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxopt_lite.activations._shaping.function import name_of


class Bound:
    """An activation with settings, as `bind` returns it: call it with x; read `.name`, `.function` and `.settings`.

    It is a pytree: numbers, arrays and placeholders among the settings are its leaves, each under its name; the
    function and settings that select a program (bool, int, str, None, tuples of them) are static structure.

    Args:
        function: the activation, a function of (x, **settings).
        settings: the keyword arguments to call it with.
        leaves: the names of the settings that are leaves. `jax.tree.map` keeps them, whatever it puts in their place
            (the booleans of a mask, or the `None` of `equinox.filter`).

    Example:
        >>> from jaxopt_lite import activations
        >>> activations.bind(activations.leaky_relu, negative_slope=0.1).settings
        {'negative_slope': 0.1}
    """

    __slots__ = ("__weakref__", "function", "leaves", "settings")  # jax.jit and jax.checkpoint need weak references

    function: Callable[..., Any]
    settings: dict[str, Any]
    leaves: tuple[str, ...]

    def __init__(self, function: Callable[..., Any], settings: dict[str, Any], leaves: tuple[str, ...]) -> None:
        self.function = function
        self.settings = settings
        self.leaves = leaves

    @property
    def name(self) -> str:
        """The name of the function, as in the catalogue."""
        return name_of(self.function)

    def __call__(self, x: Any) -> Any:
        return self.function(x, **self.settings)

    def __repr__(self) -> str:
        return f"bind({', '.join([self.name, *(f'{k}={v!r}' for k, v in self.settings.items())])})"

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Bound) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        """What two equal bound activations have in common: they share one compiled program."""
        leaves, structure = jax.tree.flatten(self.settings)
        return self.function, self.leaves, structure, tuple(map(leaf_key, leaves))

    def __reduce__(self) -> tuple[Any, ...]:
        return Bound, (self.function, self.settings, self.leaves)


def leaf_key(leaf: Any) -> Any:
    """A hashable key of a setting: tracers compare by identity, arrays by dtype, shape and value."""
    if isinstance(leaf, jax.core.Tracer):
        return id(leaf)
    if isinstance(leaf, jax.Array | np.ndarray):
        return jax.typeof(leaf), np.asarray(leaf).tobytes()
    return type(leaf), leaf


def bind(function: Callable[..., Any], **settings: Any) -> Bound:
    """`function` with keyword settings fixed: a callable pytree.

    Args:
        function: an activation, or any function of (x, **settings).
        **settings: numbers, arrays, tracers or placeholders of a sweep, which are leaves of the pytree; or flags, axes
            and counts (bool, int, str, None), which are static. An int where the default is a float becomes a float.

    Returns:
        The bound function, to be called with x.

    Raises:
        TypeError: if `function` is not callable, has no such setting, or a text is given where the default is a number.

    Example:
        >>> from jaxopt_lite.activations import leaky_relu
        >>> leaky = bind(leaky_relu, negative_slope=0.5)
        >>> float(leaky(-2.0))
        -1.0
        >>> slopes = jax.tree.map(lambda _: jax.numpy.array([0.0, 0.5]), leaky)
        >>> jax.vmap(lambda f: f(-2.0))(slopes).tolist()  # a sweep of slopes
        [-0.0, -1.0]
    """
    if not callable(function):
        cure = f"activations.{function}" if isinstance(function, str) else "a function of (x, **settings)"
        raise TypeError(f"bind: {function!r} is not a function; give {cure}")
    allowed = inspect.signature(function).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in allowed.values()):
        for given in settings:
            if given not in list(allowed)[1:]:
                known = ", ".join(list(allowed)[1:]) or "none"
                raise TypeError(
                    f"bind: {name_of(function)} has no setting {given!r}; its settings are: {known}. "
                    "Remove it or correct its name"
                )
    for name, value in list(settings.items()):
        default = allowed[name].default if name in allowed else None
        if isinstance(value, str) and isinstance(default, int | float):
            raise TypeError(f"bind: {name_of(function)}: {name}={value!r} is a text; give a value like {default!r}")
        if isinstance(value, int | np.integer) and not isinstance(value, bool) and isinstance(default, float):
            settings[name] = float(value)
    return Bound(function, settings, tuple(sorted(name for name, value in settings.items() if not _static(value))))


def _static(value: Any) -> bool:
    """Whether a setting selects a program (a flag, an axis, a count) rather than being a number of the formula."""
    if isinstance(value, tuple):
        return all(map(_static, value))
    return value is None or isinstance(value, bool | int | str | np.bool_ | np.integer)


def _flatten_with_keys(bound: Bound) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
    static = tuple(sorted((name, value) for name, value in bound.settings.items() if name not in bound.leaves))
    children = [(jax.tree_util.GetAttrKey(name), bound.settings[name]) for name in bound.leaves]
    return children, (bound.function, bound.leaves, static)


def _unflatten(structure: tuple[Any, ...], values: Any) -> Bound:
    function, leaves, static = structure
    return Bound(function, {**dict(zip(leaves, values, strict=True)), **dict(static)}, leaves)


jax.tree_util.register_pytree_with_keys(Bound, _flatten_with_keys, _unflatten)
