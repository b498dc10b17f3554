"""The catalogue: what is known of each activation, read from catalogue.toml, with the function attached."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lite._names import unknown
from jaxopt_lite.activations import (
    _algebraic,
    _competing,
    _elu,
    _gaussian,
    _gelu,
    _glu,
    _hard,
    _mish,
    _periodic,
    _rational,
    _rectified,
    _shrink,
    _sigmoid,
    _softmax,
    _softplus,
    _srelu,
    _swish,
    _tanh,
)

_ROOMS = (
    _algebraic,
    _competing,
    _elu,
    _gaussian,
    _gelu,
    _glu,
    _hard,
    _mish,
    _periodic,
    _rational,
    _rectified,
    _shrink,
    _sigmoid,
    _softmax,
    _softplus,
    _srelu,
    _swish,
    _tanh,
)


class Activation(NamedTuple):
    """One row of the catalogue; every claim in it is measured by the tests.

    Statements about the function hold for float32 arithmetic on the real line, with the default settings, those in
    `settings` where an argument has no default, and the `initial` numbers of a learnable one.
    """

    function: Callable[..., Any]
    formula: str
    kind: str  # "elementwise"; "gated", of (gate, up); "axis", mixing the entries of an axis
    range: tuple[float, float]  # closed hull of its values
    zero_centred: bool  # E f(z) = 0 for standard normal z
    monotone: bool  # never decreasing
    smooth: bool  # value, first and second derivative are continuous
    saturates: tuple[str, ...]  # sides ("left", "right") on which the derivative tends to 0
    kinks: tuple[float, ...]  # where the value or the first derivative jumps
    gain: float  # 1 / sqrt(E f(z)²), z standard normal: weights of variance gain² / fan_in keep unit second moments
    keeps: str  # what a backward pass keeps: "nothing", "bits", "input"
    use: str
    weakness: str
    reference: str
    float32_ulp: tuple[float, ...] = (4.0, 6.0, 8.0)  # bounds of the float32 error of value, slope and curvature
    settings: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple default, never written to
    initial: dict[str, Any] = {}  # noqa: RUF012


class _Catalogue(dict[str, Activation]):
    """A dict whose KeyError offers the nearest name."""

    def __missing__(self, name: str) -> Activation:
        raise KeyError(unknown("activation", name, self))


def _read() -> _Catalogue:
    rows: dict[str, Any] = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
    functions = {name: getattr(room, name) for name in rows for room in _ROOMS if hasattr(room, name)}
    return _Catalogue((name, Activation(functions[name], **_with_tuples(row))) for name, row in rows.items())


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {field: tuple(value) if isinstance(value, list) else value for field, value in row.items()}


CATALOGUE: dict[str, Activation] = _read()
