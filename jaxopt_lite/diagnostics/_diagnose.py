"""The one call: a model and a batch in, a diagnosis out."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite import _losses
from jaxopt_lite.diagnostics import _identify
from jaxopt_lite.diagnostics._conclude import Label, check_seen, concluded, labelled
from jaxopt_lite.diagnostics._diagnosis import Diagnosis
from jaxopt_lite.diagnostics._layer import NO_ACTIVATION, Layer, Sample, measured
from jaxopt_lite.diagnostics._model import network_of
from jaxopt_lite.diagnostics._record import gradient_norm, inputs_of
from jaxopt_lite.diagnostics._remedies import Inputs
from jaxopt_lite.diagnostics._update import update_ratios
from jaxopt_lite.flax import Observed, observe

Array = jax.Array
Loss = str | Callable[[Any, Any], Array]
# The program runs once, so it is compiled with few optimisations.
_ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def diagnose(
    model: Any,
    x: Any,
    y: Any = None,
    loss: Loss = "cross_entropy",
    *,
    optimizer: optax.GradientTransformation | None = None,
    train: bool = True,
    call: Callable[[Any, Any], Any] | None = None,
) -> Diagnosis:
    """Say which layer of a Flax module suffers from what, and what to change.

    It runs the model forward and backward once on a batch, in one compiled program, and looks at every layer: the
    innermost modules that own parameters, and all normalisations. The activation of a layer is what the model computes
    from the layer's output entry by entry, in whatever form it is written. The model is not changed.

    Args:
        model: an `nnx.Module`; or for Linen a pair of a module and its variables, as `Results.model()` returns it, or
            a bound module.
        x: a batch of inputs, as the model takes them, at least 2 examples along the first axis; 64 or more tell dead
            units from rarely active ones.
        y: labels or targets of the batch. Default None: the loss is a random linear function of the outputs.
        loss: `"cross_entropy"`, `"binary_cross_entropy"`, `"mse"`, or a function of (outputs, y) that returns one
            number per example, or one number. Default `"cross_entropy"`; not used without y if it is a name.
        optimizer: a transformation of `jaxopt_lite.optimizers` or of optax, as `adam(1e-3)`: how much its first step
            changes the weights of each layer is then judged too. Of a schedule that begins at 0 nothing is judged:
            give its largest rate. Default None.
        train: whether dropout and batch normalisation work as in training. Default True.
        call: function of (module, x) that returns the outputs. Default None: `module(x)`, with `train`, `training`,
            `is_training` or `deterministic` for a Linen module whose `__call__` has such an argument.

    Returns:
        A `Diagnosis`. Print it, `plot` it, or read its `verdict`, `remedies` and `layers`.

    Raises:
        TypeError: `model` is not a Flax module, or a Linen module without variables; `optimizer` has no `init` and
            `update`.
        ValueError: fewer than 2 examples, inputs that are NaN or infinite, y that is so with a named loss, labels that
            the loss cannot have, a loss of another shape, or a model in which no layer is called.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxopt_lite import activations
        >>> from jaxopt_lite.diagnostics import diagnose
        >>> from jaxopt_lite.flax import MLP
        >>> x = jax.random.normal(jax.random.key(0), (64, 16))
        >>> diagnose(MLP((16, 32, 32, 4), activations.relu, rngs=nnx.Rngs(0)), x, jnp.arange(64) % 4).verdict
        'healthy'
    """
    if optimizer is not None and not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            f"diagnose was given the optimizer {optimizer!r}, which has no init and update: give an optimizer, as "
            "adam(1e-3)"
        )
    x = _batch(x)
    net = network_of(model, train, call)
    objective = _objective(loss, y, jax.tree.leaves(x)[0].shape[0])
    traced: list[Observed] = []

    def statistics(arrays: Any, random: Any, x: Any, y: Any) -> Any:
        observed = observe(net, arrays, random, x, lambda outputs: objective(outputs, y))
        traced.append(observed)
        rows = measured(observed.signals, observed.references(), [call.curved for call in observed.calls])
        value = objective(observed.outputs, y)
        if optimizer is not None:
            ratios = update_ratios(net, arrays, observed, optimizer, value)
            rows = [row | {"update": ratio} for row, ratio in zip(rows, ratios, strict=True)]
        return rows, inputs_of(x), value, gradient_norm(observed.gradients)

    found = jax.device_get(jax.jit(statistics, compiler_options=_ONCE)(net.arrays, net.random, x, y))
    rows, inputs, value, norm = found
    labels = labelled(traced[-1], _activations(traced[-1], rows), net.api)
    check_seen(labels)
    layers = [_layer(*pair) for pair in zip(labels.layers, rows, strict=True)]
    mean_loss = float(value) if y is not None else math.nan
    return concluded(labels, layers, Inputs(*map(float, inputs)), mean_loss, float(norm), optimizer)


def _batch(x: Any) -> Any:
    """The inputs as JAX arrays."""
    x = jax.tree.map(jnp.asarray, x)
    leaves = jax.tree.leaves(x)
    if not leaves or any(leaf.ndim == 0 for leaf in leaves) or leaves[0].shape[0] < 2:
        shapes = ", ".join(str(leaf.shape) for leaf in leaves) or "nothing"
        raise ValueError(
            f"x has shape {shapes}; give a batch of at least 2 examples along the first axis, better 64 or more: dead "
            "units and collapse show only in different inputs"
        )
    if not all(map(_is_finite, leaves)):
        raise ValueError("x has entries that are NaN or infinite: every layer would be; remove or impute them")
    return x


def _is_finite(a: Array) -> bool:
    return not jnp.issubdtype(a.dtype, jnp.inexact) or bool(jnp.isfinite(a).all())


def _objective(loss: Loss, y: Any, examples: int) -> Callable[[Any, Any], Array]:
    """The mean loss as a function of (outputs, y)."""
    cost = _losses.named(loss)
    if isinstance(loss, str):
        if y is None:
            return _projection
        y = jnp.asarray(y)
        if y.ndim == 0 or y.shape[0] != examples:
            raise ValueError(f"x has {examples} examples and y has shape {y.shape}: give one row of y for each")
        if not _is_finite(y):
            raise ValueError("y has entries that are NaN or infinite: the loss would be; remove or impute them")
        cost = _losses.fitted(cost, loss, {"given": y})
        return lambda outputs, y: jnp.mean(_losses.per_example(cost, outputs, jnp.asarray(y)))

    def mean(outputs: Any, y: Any) -> Array:
        values = jnp.asarray(cost.per_example(outputs, y))
        if values.shape not in ((), (examples,)):
            raise ValueError(
                f"the loss must give one number per example, shape ({examples},), or one number; it gave {values.shape}"
            )
        return jnp.mean(values.astype(jnp.float32))

    return mean


def _projection(outputs: Any, _: Any) -> Array:
    """A random linear function of the outputs, the mean over examples."""
    terms = []
    for i, leaf in enumerate(jax.tree.leaves(outputs)):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            weights = jax.random.normal(jax.random.fold_in(jax.random.key(1), i), leaf.shape)
            terms.append(jnp.sum(leaf.astype(jnp.float32) * weights) / max(1, leaf.shape[0] if leaf.ndim else 1))
    return sum(terms, jnp.float32(0))


def _activations(observed: Observed, rows: list[dict[str, Any]]) -> list[str]:
    """The name of the activation after each call of a layer; "" if there is none."""
    return [
        _identify.name_of(call.steps, Sample(*row["reference"])) if call.curved else ""
        for call, row in zip(observed.calls, rows, strict=True)
    ]


def _layer(label: Label, row: dict[str, Any]) -> Layer:
    """The statistics of a call as a record, before it is judged."""
    numbers = {key: value.item() for key, value in row.items() if key not in ("sample", "reference")}
    return Layer(**label._asdict(), ratio=math.nan, sample=Sample(*row["sample"]), **(NO_ACTIVATION | numbers))
