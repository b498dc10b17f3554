"""The plain multi-layer perceptron of the built-in tasks."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.flax._signature import Signature

Array = jax.Array


class MLP(Signature, nnx.Module):
    """Dense layers of the given sizes, with one activation between them and none after the last.

    Args:
        sizes: units of input, hidden and output layers, e.g. `(64, 64, 64, 10)`.
        activation: a function of arrays; one whose catalogue row has learnable numbers gets them as parameters, a set
            for each hidden layer.
        rngs: the random streams that draw the weights.
    """

    def __init__(self, sizes: Sequence[int], activation: Callable[..., Array], *, rngs: nnx.Rngs) -> None:
        layers = [nnx.Linear(m, n, rngs=rngs) for m, n in pairwise(sizes)]
        self.layers = nnx.List(layers) if hasattr(nnx, "List") else layers
        self.activation = activation
        row = CATALOGUE.get(getattr(activation, "__name__", ""))
        learned = [_numbers(row.initial if row else {}) for _ in sizes[2:]]
        self.learned = nnx.List(learned) if hasattr(nnx, "List") else learned

    def __call__(self, x: Array) -> Array:
        for layer, learned in zip(self.layers, self.learned, strict=False):
            x = self.activation(layer(x), **{name: number[...] for name, number in learned.items()})
        return self.layers[-1](x)


def _numbers(initial: dict[str, Any]) -> Any:
    numbers = {name: nnx.Param(jnp.asarray(number, float)) for name, number in initial.items()}
    return nnx.Dict(numbers) if hasattr(nnx, "Dict") else numbers
