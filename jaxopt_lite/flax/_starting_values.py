"""The initial parameters of learned activations, of NNX and Linen alike."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations import CATALOGUE

_POSITIVE = {("snake", "alpha"), ("pelu", "alpha"), ("pelu", "beta")}


def starting_values(name: str, features: int | None, start: dict[str, Any], dtype: Any) -> dict[str, jax.Array]:
    """The initial parameters of a catalogue row: `start` where given, else the row's; with an axis of `features`."""
    initial = CATALOGUE[name].initial
    for setting in start:
        if setting not in initial:
            raise TypeError(f"{name} has no learned setting {setting!r}; its settings are: {', '.join(initial)}")
    if features is not None and (not isinstance(features, int | np.integer) or isinstance(features, bool)):
        raise TypeError(f"{name}: features={features!r} is not an integer; give the number of channels, or None")
    if features is not None and features < 1:
        raise ValueError(f"{name}: features={features}; give the number of channels, at least 1, or None")
    for setting, value in start.items():
        known = not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(value))
        if (name, setting) in _POSITIVE and known and not np.all(np.asarray(value, np.float64) > 0):
            raise ValueError(f"{name}: {setting}={value!r}, but the formula needs positive numbers; give {setting} > 0")
    return {
        setting: _per_channel(name, setting, jnp.asarray(value, dtype), np.shape(initial[setting]), features)
        for setting, value in {**initial, **start}.items()
    }


def _per_channel(name: str, setting: str, value: jax.Array, shape: tuple[int, ...], features: int | None) -> jax.Array:
    if features is not None and value.shape == (*shape, features):
        return value
    if value.shape != shape:
        others = "" if features is None else f", the same for every channel, or {(*shape, features)}"
        raise ValueError(
            f"{name}: {setting} has shape {value.shape}; with features={features} give shape {shape}{others}"
        )
    return value if features is None else jnp.stack([value] * features, -1)
