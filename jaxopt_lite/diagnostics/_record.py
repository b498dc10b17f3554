"""The state of a network during training as a few numbers, which a compiled program can return."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.diagnostics import _identify, _statistics
from jaxopt_lite.diagnostics._conclude import Label, Labels, check_seen, concluded, labelled
from jaxopt_lite.diagnostics._diagnosis import Diagnosis
from jaxopt_lite.diagnostics._layer import NO_ACTIVATION, Layer, Sample, measured
from jaxopt_lite.diagnostics._model import network_of
from jaxopt_lite.diagnostics._remedies import Inputs
from jaxopt_lite.flax import observe

Array = jax.Array
FIELDS = (
    *("rms", "offset", "alike", "gradient", "finite", "dead", "saturated", "usual", "mean", "gain", "slope_gain"),
    *("can_die", "one_sided"),
)
_TRUTHS = ("finite", "can_die", "one_sided")
_WHOLE = 2  # loss and gradient norm, before the statistics of the inputs


class Record(NamedTuple):
    """What is recorded of a network at one step: labels, which are static, and numbers, which are not.

    Attributes:
        labels: names of the layers and of their activations.
        numbers: float32 of shape (5 + 13 · calls of layers,): loss, norm of the gradient, three statistics of the
            inputs, and `FIELDS` of each call of a layer.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxopt_lite import activations
        >>> from jaxopt_lite.diagnostics import record
        >>> from jaxopt_lite.flax import MLP
        >>> x = jax.random.normal(jax.random.key(0), (64, 16))
        >>> model = MLP((16, *[32] * 8, 4), activations.sigmoid, rngs=nnx.Rngs(0))
        >>> record(model, x, lambda outputs: jnp.mean(outputs**2)).diagnosis().verdict
        'vanishing'
    """

    labels: Labels
    numbers: Any

    def diagnosis(self) -> Diagnosis:
        """The diagnosis of these numbers, by the rules of `diagnose`.

        Its layers have no samples: `Diagnosis.plot` draws the gradient alone.
        """
        values = [float(x) for x in np.asarray(self.numbers)]
        first = _WHOLE + len(Inputs._fields)
        rows = [values[i : i + len(FIELDS)] for i in range(first, len(values), len(FIELDS))]
        layers = [_layer(label, row) for label, row in zip(self.labels.layers, rows, strict=True)]
        return concluded(self.labels, layers, Inputs(*values[_WHOLE:first]), *values[:_WHOLE])


def record(
    model: Any,
    x: Any,
    objective: Callable[[Any], Array],
    *,
    train: bool = True,
    call: Callable[[Any, Any], Any] | None = None,
) -> Record:
    """Observe a Flax module on a batch, inside a compiled program; `Record.diagnosis` judges it outside.

    Args:
        model: as for `diagnose`; its arrays may be tracers.
        x: a batch of inputs, at least 2 examples along the first axis.
        objective: function of the outputs that returns the loss, one number.
        train: whether dropout and batch normalisation work as in training. Default True.
        call: function of (module, x) that returns the outputs, as for `diagnose`. Default None: `module(x)`.

    Returns:
        The record. Of its fields only `numbers` is an array.

    Raises:
        TypeError: `model` is not a Flax module.
        ValueError: no layer of the model is called.

    Example:
        >>> from flax import nnx
        >>> model, x = nnx.Linear(4, 3, rngs=nnx.Rngs(0)), jnp.ones((2, 4))
        >>> numbers = jax.jit(lambda x: record(model, x, jnp.sum).numbers)(x)
        >>> numbers.shape
        (18,)
    """
    net = network_of(model, train, call)
    observed = observe(net, net.arrays, net.random, x, objective)
    names = [_identify.name_of(call.steps) if call.curved else "" for call in observed.calls]
    labels = labelled(observed, names, net.api)
    check_seen(labels)
    rows = measured(observed.signals, observed.references(), [call.curved for call in observed.calls])
    values = [objective(observed.outputs), gradient_norm(observed.gradients), *inputs_of(x)]
    values += [(NO_ACTIVATION | row)[name] for row in rows for name in FIELDS]
    return Record(labels, jnp.stack([jnp.asarray(value, jnp.float32) for value in values]))


def gradient_norm(gradients: tuple[Array, ...]) -> Array:
    """The Euclidean norm of all entries of some arrays together."""
    norms = [_statistics.norm(gradient) for gradient in gradients if gradient.size]
    return _statistics.norm(jnp.stack(norms)) if norms else jnp.float32(0)


def inputs_of(x: Any) -> tuple[Array, ...]:
    """Statistics of the first array of floats among the inputs; NaN if there is none."""
    floats = [leaf for leaf in jax.tree.leaves(x) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if not floats:
        return (jnp.float32(jnp.nan),) * 3
    first = floats[0]
    enough = first.size // first.shape[0] >= 8
    alike = _statistics.likeness(first) if enough else jnp.float32(jnp.nan)
    return _statistics.root_mean_square(first), _statistics.offset(first), alike


def _layer(label: Label, row: list[float]) -> Layer:
    fields: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    fields |= {name: bool(fields[name]) for name in _TRUTHS}
    nothing = np.zeros(0, np.float32)
    return Layer(**label._asdict(), ratio=math.nan, sample=Sample(nothing, nothing, nothing), **fields)
