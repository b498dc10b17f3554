"""How much the first step of an optimizer changes the weights of each layer."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.diagnostics._layer import Layer, typical
from jaxopt_lite.diagnostics._remedies import Remedy
from jaxopt_lite.diagnostics._statistics import update_ratio
from jaxopt_lite.flax import Network, Observed
from jaxopt_lite.optimizers import Transform

Array = jax.Array
USUAL = 1e-3  # of update / weights


def update_ratios(
    net: Network, arrays: Any, observed: Observed, optimizer: optax.GradientTransformation, loss: Array
) -> list[Array]:
    """The update-to-weight ratio of the first step, for each call of a layer.

    The weights of a layer are its parameters with at least two axes: biases and the scales of a normalisation, which
    begin at 0 or 1, are left out.

    Args:
        net: the network.
        arrays: its arrays.
        observed: what `observe` has seen of it, with the gradients.
        optimizer: the transformation; its update is given the parameters, and the loss as `value`.
        loss: the loss of the batch.

    Returns:
        float32 scalars; NaN for a layer without weights or with weights that are all 0.
    """
    gradients = iter(observed.gradients)
    of_arrays = jax.tree.map(
        lambda a: next(gradients) if jnp.issubdtype(a.dtype, jnp.floating) else jnp.zeros_like(a), arrays
    )
    params, gradient = net.parameters(arrays), net.parameters(of_arrays)
    step = optax.with_extra_args_support(optimizer).update
    updates, _ = step(gradient, optimizer.init(params), params, value=loss)
    pairs: dict[str, list[tuple[Array, Array]]] = {}
    leaves = zip(jax.tree_util.tree_flatten_with_path(params)[0], jax.tree.leaves(updates), strict=True)
    for (path, weights), update in leaves:
        if weights.ndim > 1:
            pairs.setdefault(_layer_of(path, net.layers), []).append((update, weights))
    nothing = jnp.float32(jnp.nan)
    return [_ratio(pairs[call.layer]) if call.layer in pairs else nothing for call in observed.calls]


def _layer_of(path: tuple[Any, ...], layers: Mapping[str, str]) -> str:
    """The layer that owns a parameter; "" if none does."""
    keys = [str(getattr(key, "key", key)) for key in path]
    prefixes = [".".join(keys[:i]) or "(model)" for i in reversed(range(len(keys)))]
    return next((name for name in prefixes if name in layers), "")


def _ratio(pairs: list[tuple[Array, Array]]) -> Array:
    update, weights = (
        jnp.concatenate([a.astype(jnp.float32).reshape(-1) for a in arrays]) for arrays in zip(*pairs, strict=True)
    )
    return jnp.where(jnp.any(weights != 0), update_ratio(update, weights), jnp.nan)


def rate_remedy(layers: tuple[Layer, ...], optimizer: Any) -> Remedy:
    """Another learning rate, with which the typical ratio is `USUAL`."""
    factor = USUAL / min(typical(layers), 1e30)  # an update may be infinite
    times, way = (1 / factor, "lower") if factor < 1 else (factor, "higher")
    text = f"a learning rate {float(f'{times:.2g}'):,g} times {way}"
    rate = optimizer.settings.get("learning_rate") if isinstance(optimizer, Transform) else None
    if isinstance(rate, int | float) and not optimizer.init.parts:
        other = jax.tree_util.tree_map_with_path(
            lambda path, value: float(f"{factor * value:.2g}") if _is_rate(path) else value, optimizer
        )
        return Remedy(text, f"tx = opt.{other!r}")
    return Remedy(text, f"tx = optax.chain(tx, optax.scale({factor:.2g}))")


def _is_rate(path: tuple[Any, ...]) -> bool:
    return getattr(path[-1], "name", None) == "learning_rate"
