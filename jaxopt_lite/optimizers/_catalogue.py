"""The optimizers by name: their facts from `catalogue.toml` or `register`, and the functions that build them."""

import functools
import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite import _names
from jaxopt_lite.optimizers import rules
from jaxopt_lite.optimizers._transform import Transform


class Optimizer(NamedTuple):
    """What is known of one optimizer: a row of the catalogue.

    Args:
        name: its name in the catalogue.
        title: its name in words.
        function: builds it, `function(learning_rate, ...)`.
        formula: what one step does.
        memory: how many copies of the parameters its state has.
        use: what it is good for.
        weakness: what it is bad at.
        reference: authors and year.
        learning_rate: the lowest and the highest learning rate worth sweeping.
        settings: its numbers and their defaults.

    Example:
        >>> CATALOGUE["momentum"].function(0.1)
        sgd(learning_rate=0.1, momentum=0.9)
    """

    name: str
    title: str
    function: Callable[..., Transform]
    formula: str
    memory: int
    use: str
    weakness: str
    reference: str
    learning_rate: tuple[float, float]
    settings: dict[str, float]


class Catalogue(dict[str, Optimizer]):
    """The records by name; the error for an unknown name suggests the nearest one. `functions` builds them, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: dict[str, Callable[..., Transform]] = {}

    def __missing__(self, name: str) -> Optimizer:
        raise KeyError(_names.unknown("optimizer", name, self))


CATALOGUE = Catalogue()


def register(
    function: Callable[..., Transform],
    *,
    title: str,
    formula: str,
    use: str,
    weakness: str,
    reference: str,
    learning_rate: tuple[float, float],
    name: str | None = None,
    fixed: dict[str, Any] | None = None,
) -> Callable[..., Transform]:
    """Add an optimizer to `CATALOGUE`: to `jaxopt-lite list`, `explain`, the sweeps by name, and `check`.

    Args:
        function: builds it, `function(learning_rate, ...)`. It is published as `function.__name__`, which must be the
            name of its rule for it to print as the call that builds it.
        title: its name in words.
        formula: what one step does, in one line.
        use: what it is good for.
        weakness: what it is bad at.
        reference: authors and year.
        learning_rate: the lowest and the highest learning rate worth sweeping.
        name: its name in the catalogue. Default: `function.__name__`.
        fixed: arguments that make it another optimizer, as `{"momentum": 0.9}`. Default: none.

    Returns:
        `function`, so that a module can be imported again or the call be used as an expression.

    Raises:
        ValueError: if another function is registered under the name or published as `function.__name__`, a text is
            empty, or the learning rates are not 0 < lowest < highest.
        TypeError: if `function` is a transform or not callable, or `function(0.1)` does not return a transform.

    Example:
        >>> def half_sgd(learning_rate):
        ...     return sgd(learning_rate, momentum=0.5)
        >>> _ = register(
        ...     half_sgd,
        ...     title="Gradient descent with little momentum",
        ...     formula="trace ← g + trace/2;  p ← p − learning_rate·trace",
        ...     use="Examples.",
        ...     weakness="None that momentum does not have.",
        ...     reference="Polyak, 1964",
        ...     learning_rate=(1e-3, 0.5),
        ... )
        >>> CATALOGUE["half_sgd"].memory
        1
    """
    if isinstance(function, Transform) or not callable(function):
        raise TypeError(f"register was given {function!r}: give the function that builds it, as sgd and not sgd(0.1)")
    name = name or function.__name__
    known = CATALOGUE.get(name)
    if known is not None and _identity(known.function) != _identity(function):
        raise ValueError(f"register: {name!r} is the name of {known.function!r}: give another name")
    published = CATALOGUE.functions.get(function.__name__)
    if published is not None and _identity(published) != _identity(function):
        raise ValueError(f"register: {function.__name__!r} is published as {published!r}: rename the function")
    texts = {"title": title, "formula": formula, "use": use, "weakness": weakness, "reference": reference}
    empty = [key for key, text in texts.items() if not text.strip()]
    if empty:
        raise ValueError(f"register: {name}: {' and '.join(empty)} is empty: say it in a line")
    low, high = learning_rate
    if not 0 < low < high:
        raise ValueError(f"register: {name}: learning_rate={learning_rate!r}: give (lowest, highest), both above 0")
    fixed = fixed or {}
    tx = function(0.1, **fixed)
    if not isinstance(tx, Transform):
        raise TypeError(f"register: {name}(0.1) returns {type(tx).__name__}: call a Rule in it, or lift(factory)")
    _add(name, function, fixed, memory=_memory(tx), learning_rate=learning_rate, **texts)
    return function


def _add(
    name: str,
    function: Callable[..., Transform],
    fixed: dict[str, Any],
    *,
    memory: int,
    learning_rate: tuple[float, float],
    **texts: str,
) -> None:
    defaults = {
        p.name: p.default for p in inspect.signature(function).parameters.values() if isinstance(p.default, float)
    }
    CATALOGUE.functions[function.__name__] = function
    CATALOGUE[name] = Optimizer(
        name=name,
        function=functools.partial(function, **fixed) if fixed else function,
        memory=memory,
        learning_rate=(learning_rate[0], learning_rate[1]),
        settings=defaults | {key: value for key, value in fixed.items() if not isinstance(value, bool)},
        **texts,
    )


def _identity(function: Any) -> tuple[str, str]:
    function = getattr(function, "func", function)
    return function.__module__, function.__qualname__


def _memory(tx: Transform) -> int:
    """The copies of the parameters in the state, found without computing one."""
    n = 1024
    state = jax.eval_shape(tx.init, jax.ShapeDtypeStruct((n,), jnp.float32))
    return round(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state) if x.ndim) / (4 * n))


def _functions() -> dict[str, Any]:
    """Every public function of the modules in `rules`, by name."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(rules.__path__, f"{rules.__name__}."):
        loaded = importlib.import_module(module.name)
        found |= {
            name: function
            for name, function in vars(loaded).items()
            if inspect.isfunction(function) and function.__module__ == module.name and not name.startswith("_")
        }
    return found


def _read() -> None:
    functions = _functions()
    with (Path(__file__).parent / "catalogue.toml").open("rb") as file:
        for name, row in tomllib.load(file).items():
            function = functions[row.pop("function", name)]
            row.pop("settings", None)  # its leaves, for readers that do not load jax
            _add(name, function, row.pop("fixed", {}), **row)


_read()
