"""The catalogue: the known properties of each activation, read from catalogue.toml, with the function attached."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite import activations
from jaxopt_lite._names import unknown


class Activation(NamedTuple):
    """One row of the catalogue; the tests measure every claim in it.

    Statements about the function hold for float32 arithmetic on the real line, with the default settings, those in
    `settings` where an argument has no default, and the `initial` numbers of a learnable one.

    Attributes:
        function: the activation, a function of (x, **settings).
        formula: what it computes, in one line.
        kind: "elementwise"; "gated" for a function of (gate, up); "axis" for one that mixes the entries of an axis.
        range: the closed interval of its values.
        zero_centred: whether E f(z) = 0 for standard normal z.
        monotone: whether it never decreases.
        smooth: whether value, first and second derivative are continuous.
        saturates: the sides, "left" or "right", on which the derivative tends to 0.
        kinks: where the value or the first derivative jumps.
        gain: 1 / sqrt(E f(z)²) for standard normal z. Weights of variance gain² / fan_in keep second moments at 1.
        keeps: what a backward pass stores: "nothing", "mask" (booleans), "input", or "output" (in half precision, the
            input).
        use: what it is good for.
        weakness: what it is bad at.
        reference: authors and year.
        float32_ulp: bounds of the float32 errors of value, slope and curvature, in units in the last place.
        exact_tails: whether float32 slopes are accurate in ulp everywhere. Otherwise they are computed from the output
            and accurate within 2⁻²¹.
        same_curvature: whether eager and compiled curvatures agree in half precision. Otherwise they differ near the
            roots, where a fused multiplication keeps more digits.
        settings: values of arguments that have no default.
        initial: starting values of the arguments that a layer learns.

    Example:
        >>> from jaxopt_lite.activations import CATALOGUE
        >>> CATALOGUE["tanh"].saturates
        ('left', 'right')
    """

    function: Callable[..., jax.Array]
    formula: str
    kind: str
    range: tuple[float, float]
    zero_centred: bool
    monotone: bool
    smooth: bool
    saturates: tuple[str, ...]
    kinks: tuple[float, ...]
    gain: float
    keeps: str
    use: str
    weakness: str
    reference: str
    float32_ulp: tuple[float, ...] = (4.0, 6.0, 8.0)
    exact_tails: bool = True
    same_curvature: bool = True
    settings: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple default, never written to
    initial: dict[str, Any] = {}  # noqa: RUF012

    def probe(self, x: jax.Array, **settings: Any) -> jax.Array:
        """The row as a function of single numbers, to be drawn, audited and compared.

        An elementwise row is f(x). A gated one is the gate at x beside 1; one along an axis gives the first of the two
        entries (x, 0). Settings without a default are those of the row and learned numbers start as in the row;
        keywords replace either.

        Example:
            >>> round(float(CATALOGUE["swiglu"].probe(jnp.float32(2.0))), 3)  # silu(2) × 1
            1.762
        """
        settings = {**self.settings, **{k: jnp.asarray(v) for k, v in self.initial.items()}, **settings}
        if self.kind == "elementwise":
            return self.function(x, **settings)
        pair = (jnp.ones_like(x), x) if self.kind == "gated" else (x, jnp.zeros_like(x))
        return self.function(jnp.stack(pair, -1), **settings)[..., 0]


class _Catalogue(dict[str, Activation]):
    """A dict whose KeyError offers the nearest name."""

    def __missing__(self, name: str) -> Activation:
        raise KeyError(unknown("activation", name, self))


def _read(path: Path) -> _Catalogue:
    rows: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return _Catalogue((name, _row(path, name, _with_tuples(row))) for name, row in rows.items())


def _row(path: Path, name: str, fields: dict[str, Any]) -> Activation:
    required = [field for field in Activation._fields[1:] if field not in Activation._field_defaults]
    wrong = {
        "lacks": [field for field in required if field not in fields],
        "has the unknown fields": [field for field in fields if field not in Activation._fields[1:]],
    }
    problems = [f"{verb} {', '.join(names)}" for verb, names in wrong.items() if names]
    if problems:
        raise ValueError(f"the row [{name}] of {path} {' and '.join(problems)}; copy the fields of another row")
    return Activation(_function(name), **fields)


def _function(name: str) -> Callable[..., jax.Array]:
    if not hasattr(activations, name):
        raise ImportError(
            f"catalogue.toml has a row [{name}], but jaxopt_lite.activations has no function of that name; write it in "
            f"jaxopt_lite/activations/_{name}.py and add to jaxopt_lite/activations/__init__.py the line "
            f"`from jaxopt_lite.activations._{name} import {name} as {name}`"
        )
    return getattr(activations, name)


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {field: tuple(value) if isinstance(value, list) else value for field, value in row.items()}


CATALOGUE: dict[str, Activation] = _read(Path(__file__).with_name("catalogue.toml"))
BUILT_IN = frozenset(CATALOGUE)
