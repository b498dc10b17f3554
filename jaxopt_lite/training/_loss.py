"""Losses by name: functions of (outputs, y) that give one number an example."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite._names import unknown

Array = jax.Array


class Loss(NamedTuple):
    """A loss an example, and for classifiers which examples are right."""

    an_example: Callable[[Array, Array], Array]
    right: Callable[[Array, Array], Array] | None


def _squared_error(outputs: Array, y: Array) -> Array:
    if outputs.shape != y.shape:
        raise ValueError(f"loss 'mse' needs outputs and y of one shape, got {outputs.shape} and {y.shape}")
    return jnp.square(outputs - y).reshape(outputs.shape[0], -1).mean(axis=1)


def _binary(outputs: Array, y: Array) -> Array:
    return optax.sigmoid_binary_cross_entropy(_single(outputs), y.astype(outputs.dtype))


def _single(outputs: Array) -> Array:
    return outputs.reshape(outputs.shape[0])


LOSSES = {
    "cross_entropy": Loss(
        optax.softmax_cross_entropy_with_integer_labels, lambda outputs, y: jnp.argmax(outputs, axis=-1) == y
    ),
    "binary_cross_entropy": Loss(_binary, lambda outputs, y: (_single(outputs) > 0) == (y > 0)),
    "mse": Loss(_squared_error, None),
}


def named(loss: str | Callable[[Array, Array], Array]) -> Loss:
    """The loss called `loss`, or the caller's own function of (outputs, y).

    Raises:
        ValueError: no loss has that name.
        TypeError: `loss` is neither a name nor a function.
    """
    if callable(loss):
        return Loss(loss, None)
    if not isinstance(loss, str):
        raise TypeError(f"loss must be a name or a function of (outputs, y), got {type(loss).__name__}")
    if loss not in LOSSES:
        raise ValueError(unknown("loss", loss, LOSSES))
    return LOSSES[loss]
