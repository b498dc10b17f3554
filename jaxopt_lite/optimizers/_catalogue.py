"""The optimizers by name: their facts from `catalogue.toml`, and the functions that build them."""

import functools
import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lite import _names
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers.rules import (
    _adadelta,
    _adagrad,
    _adam,
    _adamax,
    _amsgrad,
    _lion,
    _nadam,
    _rmsprop,
    _sgd,
)

FUNCTIONS: dict[str, Callable[..., Transform]] = {
    function.__name__: function
    for function in (
        _sgd.sgd,
        _adagrad.adagrad,
        _adadelta.adadelta,
        _rmsprop.rmsprop,
        _adam.adam,
        _adam.adamw,
        _amsgrad.amsgrad,
        _adamax.adamax,
        _nadam.nadam,
        _nadam.nadamw,
        _lion.lion,
    )
}


class Optimizer(NamedTuple):
    """What is known of one optimizer.

    `function(learning_rate, ...)` builds it; `memory` counts the copies of the parameters it keeps; `learning_rate`
    is the range worth sweeping; `settings` are its numbers and their defaults.
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


def _record(name: str, row: dict[str, Any]) -> Optimizer:
    function, fixed = FUNCTIONS[row["function"]], row.get("fixed", {})
    numbers = {
        p.name: p.default for p in inspect.signature(function).parameters.values() if isinstance(p.default, float)
    }
    return Optimizer(
        name=name,
        title=row["title"],
        function=functools.partial(function, **fixed) if fixed else function,
        formula=row["formula"],
        memory=row["memory"],
        use=row["use"],
        weakness=row["weakness"],
        reference=row["reference"],
        learning_rate=(row["learning_rate"][0], row["learning_rate"][1]),
        settings=numbers | {k: v for k, v in fixed.items() if not isinstance(v, bool)},
    )


class Catalogue(dict[str, Optimizer]):
    """The records by name; a name that it lacks is answered with the nearest one."""

    def __missing__(self, name: str) -> Optimizer:
        raise KeyError(_names.unknown("optimizer", name, self))


def _read() -> Catalogue:
    with (Path(__file__).parent / "catalogue.toml").open("rb") as file:
        return Catalogue({name: _record(name, row) for name, row in tomllib.load(file).items()})


CATALOGUE = _read()
