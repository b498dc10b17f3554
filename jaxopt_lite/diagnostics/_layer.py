"""The record of one layer, and how it is computed from what passes through the layer."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.diagnostics import _statistics as statistics

Array = jax.Array
_SAMPLE = 2000
# The statistics of an activation for a layer without one.
NO_ACTIVATION: dict[str, Any] = {
    **dict.fromkeys(("dead", "saturated", "usual"), math.nan),
    "mean": 0.0,
    "gain": 1.0,
    "slope_gain": 1.0,
    "can_die": False,
    "one_sided": False,
}


class Sample(NamedTuple):
    """Some entries of a layer, at most 2,000: pre-activation, activation and the derivative between them."""

    z: Any
    activation: Any
    slope: Any


class Layer(NamedTuple):
    """What `diagnose` finds about one call of a layer.

    Attributes:
        name: path of the layer in the model, with `(2)` for its second call.
        type: class of the layer.
        activation: name of the activation that follows; "" if none does.
        shape: shape of the layer's output, the pre-activation.
        rms: root mean square of the pre-activation.
        offset: |mean| / root mean square of the activation.
        dead: share of units that are constant on the batch with derivative 0; NaN without an activation.
        saturated: share of entries where the derivative is below 5 % of its largest; NaN without an activation.
        usual: the same share for standard normal pre-activations: 0.5 for relu, 0.03 for tanh.
        alike: mean |cosine| between the pre-activations of different examples; NaN with fewer than 8 entries each.
        gradient: norm of the gradient of the loss at the pre-activation.
        ratio: that norm relative to the last layer's.
        mean: mean of the activation for standard normal z.
        gain: 1 / sqrt(E f(z)²) for standard normal z: the gain that keeps signals. 1 without an activation.
        slope_gain: 1 / sqrt(E f'(z)²): the gain that keeps gradients.
        can_die: whether the activation has a piece with derivative 0.
        one_sided: whether the entries where it is flat have pre-activations of one sign, as with relu and gelu.
        finite: whether pre-activation and gradient are free of NaN and infinity.
        sample: entries for the picture.
        troubles: names of the rules in `RULES` that the layer breaks.
        update: root mean square of the optimizer's first update of the weights relative to that of the weights, the
            parameters with at least two axes; NaN without an optimizer, without weights, and where they are all 0.

    Example:
        >>> import jax
        >>> from flax import nnx
        >>> from jaxopt_lite.diagnostics import diagnose
        >>> x = jax.random.normal(jax.random.key(0), (64, 16))
        >>> model = nnx.Sequential(nnx.Linear(16, 8, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(8, 4, rngs=nnx.Rngs(1)))
        >>> [(layer.name, layer.activation, layer.shape) for layer in diagnose(model, x).layers]
        [('layers.0', 'relu', (64, 8)), ('layers.2', '', (64, 4))]
    """

    name: str
    type: str
    activation: str
    shape: tuple[int, ...]
    rms: float
    offset: float
    dead: float
    saturated: float
    usual: float
    alike: float
    gradient: float
    ratio: float
    mean: float
    gain: float
    slope_gain: float
    can_die: bool
    one_sided: bool
    finite: bool
    sample: Sample
    troubles: tuple[str, ...] = ()
    update: float = math.nan


def typical(layers: Sequence[Layer]) -> float:
    """The median update-to-weight ratio of the layers with weights; NaN without an optimizer."""
    known = [layer.update for layer in layers if not math.isnan(layer.update)]
    return float(np.median(known)) if known else math.nan


def measured(signals: Sequence[Any], references: Sequence[Any], curved: Sequence[bool]) -> list[dict[str, Any]]:
    """Statistics of all layers as arrays. Layers of equal shape share one computation, which keeps the program small.

    Args:
        signals: the `Signal` of each layer.
        references: its activation at standard normal pre-activations, as `Observed.references` gives it.
        curved: whether it has an activation.
    """
    out: list[dict[str, Any]] = [{} for _ in signals]
    groups: dict[Any, list[int]] = {}
    for i, signal in enumerate(signals):
        dtypes = (signal.z.dtype, signal.activation.dtype, signal.slope.dtype)
        groups.setdefault((signal.z.shape, dtypes, curved[i]), []).append(i)
    for (*_, bent), members in groups.items():
        pairs = [(signals[i], references[i][1:4]) for i in members]
        stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *pairs)
        rows = jax.vmap(lambda pair, bent=bent: {**_plain(*pair), **(_bent(*pair) if bent else {})})(stacked)
        for n, i in enumerate(members):
            out[i] = jax.tree.map(lambda array, n=n: array[n], rows)
    return out


def _plain(signal: Any, _: Any) -> dict[str, Any]:
    """Statistics that need no activation."""
    z = signal.z
    rms, gradient = statistics.root_mean_square(z), statistics.norm(signal.gradient)
    return {
        "rms": rms,
        "offset": statistics.offset(signal.activation),
        "alike": statistics.likeness(z) if z.size // z.shape[0] >= 8 else jnp.float32(jnp.nan),
        "gradient": gradient,
        "finite": jnp.isfinite(rms) & jnp.isfinite(gradient),
        "sample": Sample(*map(_some, (z, signal.activation, signal.slope))),
    }


def _bent(signal: Any, reference: Any) -> dict[str, Any]:
    """Statistics of the activation."""
    values, slope = (a.astype(jnp.float32) for a in reference[1:])
    largest = jnp.max(jnp.abs(slope))
    flat, z = statistics.is_flat(signal.slope, largest), signal.z
    return {
        "dead": statistics.dead_share(signal.activation, signal.slope),
        "saturated": jnp.mean(flat.astype(jnp.float32)),
        "usual": statistics.flat_share(slope, largest),
        "mean": jnp.mean(values),
        "gain": 1 / statistics.root_mean_square(values),
        "slope_gain": 1 / statistics.root_mean_square(slope),
        "can_die": jnp.mean(slope == 0) > 0.01,
        "one_sided": ~(jnp.any(flat & (z > 0)) & jnp.any(flat & (z < 0))),
        "reference": Sample(*map(_some, reference)),
    }


def _some(a: Array) -> Array:
    chosen = np.linspace(0, a.size - 1, min(a.size, _SAMPLE)).astype(int)
    return a.reshape(-1)[chosen].astype(jnp.float32)
