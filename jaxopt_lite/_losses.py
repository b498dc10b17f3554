"""Losses by name: functions of (outputs, y) that give one number per example."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite._names import unknown

Array = jax.Array


class Loss(NamedTuple):
    """The loss of each example, and for classifiers which examples are right."""

    per_example: Callable[[Array, Array], Array]
    right: Callable[[Array, Array], Array] | None
    classes: int | None = None  # number of outputs that the labels need


def _squared_error(outputs: Array, y: Array) -> Array:
    if outputs.shape != y.shape:
        raise ValueError(f"loss 'mse' needs outputs and y of one shape, got {outputs.shape} and {y.shape}")
    outputs, y = _single_precision(outputs), _single_precision(y)
    return jnp.square(outputs - y).reshape(outputs.shape[0], -1).mean(axis=1)


def _binary(outputs: Array, y: Array) -> Array:
    if outputs.size != outputs.shape[0]:
        raise ValueError(
            "loss 'binary_cross_entropy' needs one output per example; the module's outputs have shape "
            f"{outputs.shape}. Give it one output, or use loss 'cross_entropy'"
        )
    outputs = _single_precision(outputs)
    return optax.sigmoid_binary_cross_entropy(_single(outputs), _single(y).astype(outputs.dtype))


def _single(outputs: Array) -> Array:
    return outputs.reshape(outputs.shape[0])


def _single_precision(a: Array) -> Array:
    """Floats of half precision as float32: in half precision a loss may be rounded to 0 or overflow."""
    half = jnp.issubdtype(a.dtype, jnp.floating) and a.dtype != jnp.promote_types(a.dtype, jnp.float32)
    return a.astype(jnp.float32) if half else a


def _classes(outputs: Array, y: Array) -> Array:
    return optax.softmax_cross_entropy_with_integer_labels(_single_precision(outputs), y.astype(jnp.int32))


LOSSES = {
    "cross_entropy": Loss(_classes, lambda outputs, y: jnp.argmax(outputs, axis=-1) == y),
    "binary_cross_entropy": Loss(_binary, lambda outputs, y: (_single(outputs) > 0) == (_single(y) > 0)),
    "mse": Loss(_squared_error, None),
}


def named(loss: str | Callable[[Array, Array], Array]) -> Loss:
    """The loss called `loss`, or the caller's function of (outputs, y).

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


def fitted(cost: Loss, name: object, labels: Mapping[str, Array | np.ndarray]) -> Loss:
    """The loss for the labels of each part of the data, by the part's name.

    Raises:
        ValueError: labels that the named loss cannot have.
    """
    if name not in ("cross_entropy", "binary_cross_entropy"):
        return cost
    for part, y in labels.items():
        flat = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1 and name == "binary_cross_entropy")
        integral = jnp.issubdtype(y.dtype, jnp.integer) or y.dtype == bool or name == "binary_cross_entropy"
        if not (flat and integral):
            raise ValueError(
                f"loss {name!r} needs the {part} y as one whole number per example, shape (examples,); got {y.dtype} "
                f"{y.shape}. Turn one-hot rows into numbers with argmax(axis=1)"
            )
        low, high = float(y.min()), float(y.max())
        if name == "binary_cross_entropy" and not bool(((y == 0) | (y == 1)).all()):
            raise ValueError(f"loss {name!r} needs labels 0 and 1; got {part} labels from {low:g} to {high:g}")
        if low < 0:
            raise ValueError(f"loss {name!r} needs labels from 0 up; got {part} labels from {low:g} to {high:g}")
    if name == "binary_cross_entropy":
        return cost
    return cost._replace(classes=1 + max(int(y.max()) for y in labels.values()))


def per_example(cost: Loss, outputs: Array, y: Array) -> Array:
    """The loss of each example in float32. Losses by name are computed in float32 or more.

    Raises:
        ValueError: too few outputs for the labels, or a loss that is not one number per example.
    """
    if cost.classes is not None and (outputs.ndim != 2 or outputs.shape[1] < cost.classes):
        raise ValueError(
            f"the labels run up to {cost.classes - 1}, so the module must give {cost.classes} or more outputs an "
            f"example; its outputs have shape {outputs.shape}"
        )
    values = cost.per_example(outputs, y)
    if values.shape != (len(y),):
        raise ValueError(
            f"the loss must give one number per example, shape ({len(y)},); "
            f"from outputs {outputs.shape} and y {y.shape} it gave {values.shape}"
        )
    return values.astype(jnp.float32)
