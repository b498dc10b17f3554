"""The plain multi-layer perceptron of the built-in tasks."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.activations._shaping.function import name_of
from jaxopt_lite.flax._dense import attribute, check_activation
from jaxopt_lite.flax._signature import Signature

Array = jax.Array


class MLP(Signature, nnx.Module):
    """Dense layers of the given sizes, with one activation between them and none after the last.

    Args:
        sizes: units of the input, of each hidden layer and of the output, at least two numbers, e.g. `(64, 64, 10)`.
        activation: a function of arrays, a `bind`, or a module, which all hidden layers share. A function of the
            catalogue with learnable settings gets them as parameters, a set for each hidden layer; a `bind` of it keeps
            its settings fixed.
        rngs: random streams; the stream "params" draws the weights.

    Raises:
        TypeError: `activation` is not callable.
        ValueError: `sizes` has fewer than two numbers, or `activation` changes the number of units, as `glu` does.

    Example:
        >>> from jaxopt_lite.activations import swish
        >>> model = MLP((4, 16, 3), swish, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 4))).shape
        (2, 3)
    """

    def __init__(self, sizes: Sequence[int], activation: Callable[..., Array], *, rngs: nnx.Rngs) -> None:
        check_activation("MLP", activation)
        if len(sizes) < 2:
            raise ValueError(
                f"MLP: sizes={sizes!r}; give the units of input and output, with hidden layers between them"
            )
        for units in sizes[1:-1]:
            _check_width(activation, units)
        self.layers = _list([nnx.Linear(m, n, rngs=rngs) for m, n in pairwise(sizes)])
        self.activation = attribute(activation)
        self.learned = _list([_parameters(activation) for _ in sizes[2:]])

    def __call__(self, x: Array) -> Array:
        """Apply the network.

        Args:
            x: inputs of shape (..., sizes[0]).

        Returns:
            An array of shape (..., sizes[-1]).
        """
        for layer, learned in zip(self.layers, self.learned, strict=False):
            x = self.activation(layer(x), **{name: number[...] for name, number in learned.items()})
        return self.layers[-1](x)


def _check_width(activation: Callable[..., Array], units: int) -> None:
    """Raise a ValueError if a function of the catalogue, or a `bind` of one, does not give as many units as it gets."""
    function = getattr(activation, "function", activation)
    row = next((row for row in CATALOGUE.values() if row.function is function and row.kind != "elementwise"), None)
    if row is None:
        return
    if activation is function:
        activation = partial(function, **{**row.settings, **row.initial})
    even = units + units % 2  # functions of two halves have an error of their own for odd numbers
    width = jax.eval_shape(activation, jax.ShapeDtypeStruct((1, even), jnp.float32)).shape[-1]
    if width != even:
        raise ValueError(
            f"MLP: {name_of(function)} makes {width} units of {even}; give an activation that keeps their number, such "
            "as relu, or write a module of your own"
        )


def _parameters(activation: Callable[..., Array]) -> Any:
    """The learnable settings of a catalogue function as parameters; none for any other callable."""
    initial = next((row.initial for row in CATALOGUE.values() if row.function is activation), {})
    parameters = {name: nnx.Param(jnp.asarray(number, float)) for name, number in initial.items()}
    return nnx.Dict(parameters) if hasattr(nnx, "Dict") else parameters


def _list(items: list[Any]) -> Any:
    return nnx.List(items) if hasattr(nnx, "List") else items  # Flax 0.11 takes plain lists
