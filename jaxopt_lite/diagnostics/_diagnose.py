"""The one call: a model and a batch in, a diagnosis out."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite import _losses
from jaxopt_lite.diagnostics import _diagnosis, _identify, _statistics
from jaxopt_lite.diagnostics._diagnosis import Diagnosis
from jaxopt_lite.diagnostics._layer import Layer, Sample, measured
from jaxopt_lite.diagnostics._remedies import Inputs, remedies
from jaxopt_lite.diagnostics._rules import judged, main_trouble
from jaxopt_lite.flax import Observed, network, observe, references

Array = jax.Array
Loss = str | Callable[[Any, Any], Array]
_NO_ACTIVATION = {
    **dict.fromkeys(("dead", "saturated", "usual"), math.nan),
    "mean": 0.0,
    "gain": 1.0,
    "slope_gain": 1.0,
    "can_die": False,
    "one_sided": False,
}
# The program runs once, so it is compiled with few optimisations.
_ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def diagnose(
    model: Any,
    x: Any,
    y: Any = None,
    loss: Loss = "cross_entropy",
    *,
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
        train: whether dropout and batch normalisation work as in training. Default True.
        call: function of (module, x) that returns the outputs. Default None: `module(x)`, with `train`, `training`,
            `is_training` or `deterministic` for a Linen module whose `__call__` has such an argument.

    Returns:
        A `Diagnosis`. Print it, `plot` it, or read its `verdict`, `remedies` and `layers`.

    Raises:
        TypeError: `model` is not a Flax module, or a Linen module without variables.
        ValueError: fewer than 2 examples, NaN or infinite inputs, labels that the loss cannot have, a loss of another
            shape, or a model in which no layer is called.

    Example:
        >>> from flax import nnx
        >>> from jaxopt_lite.flax import MLP
        >>> x = jax.random.normal(jax.random.key(0), (64, 16))
        >>> diagnose(MLP((16, 32, 32, 4), activations.relu, rngs=nnx.Rngs(0)), x, jnp.arange(64) % 4).verdict
        'healthy'
    """
    x = _batch(x)
    net = network(model, train=train, call=call)
    objective = _objective(loss, y, jax.tree.leaves(x)[0].shape[0])
    traced: list[Observed] = []

    def statistics(arrays: Any, random: Any, x: Any, y: Any) -> Any:
        observed = observe(net, arrays, random, x, lambda outputs: objective(outputs, y))
        normal = references(net, arrays, random, x)
        traced.append(observed)
        rows = measured(observed.signals, normal, [call.curved for call in observed.calls])
        return rows, _inputs(x), objective(observed.outputs, y)

    rows, inputs, value = jax.device_get(jax.jit(statistics, compiler_options=_ONCE)(net.arrays, net.random, x, y))
    observed = traced[-1]
    if not rows:
        raise ValueError(
            "no layer of the model is called: diagnose sees modules with parameters that are called inside the "
            f"model's call; absent are {', '.join(net.layers) or 'all: the model has no parameters'}"
        )
    layers = tuple(judged(_records(observed, rows)))
    inputs = Inputs(*map(float, inputs))
    verdict, layer = main_trouble(layers, observed.linear)
    residual = observed.sums >= len([layer for layer in layers if layer.activation]) / 3
    return Diagnosis(
        verdict=verdict,
        layer=layer.name if layer else "",
        explanation=_diagnosis.explained(verdict, layer, layers, inputs),
        remedies=remedies(verdict, layers, inputs, net.api, residual),
        hints=_diagnosis.hinted(layers, observed.absent, inputs, verdict),
        layers=layers,
        inputs=inputs,
        loss=float(value) if y is not None else math.nan,
    )


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
    for leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and not bool(jnp.isfinite(leaf).all()):
            raise ValueError("x has entries that are NaN or infinite: every layer would be; remove or impute them")
    return x


def _objective(loss: Loss, y: Any, examples: int) -> Callable[[Any, Any], Array]:
    """The mean loss as a function of (outputs, y)."""
    cost = _losses.named(loss)
    if isinstance(loss, str):
        if y is None:
            return _projection
        y = jnp.asarray(y)
        if y.ndim == 0 or y.shape[0] != examples:
            raise ValueError(f"x has {examples} examples and y has shape {y.shape}: give one row of y for each")
        cost = _losses.fitted(cost, loss, {"given": y})
        return lambda outputs, y: jnp.mean(_losses.per_example(cost, outputs, jnp.asarray(y)))

    def mean(outputs: Any, y: Any) -> Array:
        values = jnp.asarray(cost.an_example(outputs, y))
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


def _inputs(x: Any) -> tuple[Array, ...]:
    """Statistics of the first array of floats among the inputs."""
    floats = [leaf for leaf in jax.tree.leaves(x) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if not floats:
        return (jnp.float32(jnp.nan),) * 3
    first = floats[0]
    enough = first.size // first.shape[0] >= 8
    alike = _statistics.likeness(first) if enough else jnp.float32(jnp.nan)
    return _statistics.root_mean_square(first), _statistics.offset(first), alike


def _records(observed: Observed, rows: list[dict[str, Any]]) -> list[Layer]:
    """The statistics of each call as a record, before it is judged."""
    out, calls = [], {}  # type: ignore[var-annotated]
    for call, signal, row in zip(observed.calls, observed.signals, rows, strict=True):
        calls[call.layer] = calls.get(call.layer, 0) + 1
        name = call.layer if calls[call.layer] == 1 else f"{call.layer} ({calls[call.layer]})"
        sample, activation = Sample(*row.pop("sample")), ""
        if call.curved:
            activation = _identify.name_of(call.steps, Sample(*row.pop("reference")))
        numbers = _NO_ACTIVATION | {key: value.item() for key, value in row.items()}
        shape = tuple(signal.z.shape)
        out.append(Layer(name, call.type, activation, shape, ratio=math.nan, sample=sample, **numbers))
    return out
