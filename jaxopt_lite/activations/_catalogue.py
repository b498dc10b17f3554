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
    """One row of the catalogue; every claim in it is measured by the tests.

    Statements about the function hold for float32 arithmetic on the real line, with the default settings, those in
    `settings` where an argument has no default, and the `initial` numbers of a learnable one.
    """

    function: Callable[..., jax.Array]
    formula: str
    kind: str  # "elementwise"; "gated", of (gate, up); "axis", mixing the entries of an axis
    range: tuple[float, float]  # closed hull of its values
    zero_centred: bool  # E f(z) = 0 for standard normal z
    monotone: bool  # never decreasing
    smooth: bool  # value, first and second derivative are continuous
    saturates: tuple[str, ...]  # sides ("left", "right") on which the derivative tends to 0
    kinks: tuple[float, ...]  # where the value or the first derivative jumps
    gain: float  # 1 / sqrt(E f(z)²), z standard normal: weights of variance gain² / fan_in keep unit second moments
    keeps: str  # what a backward pass keeps: "nothing", "mask" (booleans), "input"; "output" (in half precision, input)
    use: str
    weakness: str
    reference: str
    float32_ulp: tuple[float, ...] = (4.0, 6.0, 8.0)  # bounds of the float32 error of value, slope and curvature
    exact_tails: bool = True  # False: float32 slopes are computed from the output, within 2^-21 but not in ulp
    same_curvature: bool = True  # False: near its roots, what a fused multiplication keeps shows in half precision
    settings: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple default, never written to
    initial: dict[str, Any] = {}  # noqa: RUF012

    def probe(self, x: jax.Array, **settings: Any) -> jax.Array:
        """The row as a function of single numbers, to be drawn, audited and compared.

        An elementwise row is f(x). A gated one is the gate at x beside 1; one along an axis gives the first of the two
        entries (x, 0). Settings without a default are those of the row and learned numbers start as in the row;
        keywords replace either.
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
    return _Catalogue((name, Activation(_function(name), **_with_tuples(row))) for name, row in rows.items())


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
