"""What to change for each trouble, as code to paste where the network is built.

In the code `act` is `jaxopt_lite.activations` and `opt` is `jaxopt_lite.optimizers`. The names on the left of `=` say
where it goes: `activation`, `kernel_init`, `bias_init`, `norm` to the layers, `x` to the inputs, `tx` to the optimizer.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.diagnostics._layer import Layer

DEEP = 12  # with more activations in a row a gain alone does not keep signals and gradients
_STANDARDISE = "x = (x - x.mean(0, keepdims=True)) / (x.std(0, keepdims=True) + 1e-6)"
_GAINS = {"tanh": 1.467, "leaky_relu": 1.414}  # 1 / sqrt(E f'(z)²) for standard normal z
_NORMS = {"nnx": "norm = nnx.{}(n, rngs=rngs)", "linen": "norm = nn.{}()"}


class Inputs(NamedTuple):
    """Statistics of the inputs, as those of a layer; NaN for integers."""

    rms: float
    offset: float
    alike: float

    @property
    def off(self) -> bool:
        """Whether the inputs are far from mean 0 and variance 1."""
        return self.rms > 3 or self.offset > 0.9 or self.alike > 0.9 or 0 < self.rms < 0.1


class Remedy(NamedTuple):
    """One change.

    Attributes:
        text: what it does, in a line.
        code: the change in Python.

    Example:
        >>> remedy = Remedy("standardise the inputs", "x = (x - x.mean(0)) / x.std(0)")
        >>> remedy.text
        'standardise the inputs'
    """

    text: str
    code: str


def remedies(trouble: str, layers: Sequence[Layer], inputs: Inputs, api: str, residual: bool) -> tuple[Remedy, ...]:
    """Changes that cure a trouble, the best first.

    Args:
        trouble: name of a rule, or "healthy".
        layers: all layers.
        inputs: statistics of the inputs.
        api: "nnx" or "linen".
        residual: whether the network has residual blocks, to which the gains of plain networks do not apply.
    """
    standardise = Remedy("standardise the inputs", _STANDARDISE)
    normalise = Remedy("normalise between each layer and its activation", _NORMS[api].format("LayerNorm"))
    clip = Remedy("clip gradients and lower the rate", "tx = opt.chain(opt.clip_by_global_norm(1.0), opt.adam(1e-4))")
    start = _start(layers, inputs, instead="leaky_relu" if trouble == "dead" else "")
    if trouble in ("vanishing", "exploding"):
        return (*((normalise, start) if residual else (start, normalise)), *([clip] if trouble == "exploding" else ()))
    if trouble == "not finite":
        return (start, clip, normalise)
    if trouble == "dead":
        leaky = Remedy("use an activation without a flat piece", "activation = act.leaky_relu")
        return (start if _is_deep(layers) else _joined(leaky, start), clip, normalise)
    if trouble == "saturated":
        return (start, normalise, clip)
    if trouble == "collapsed":
        decorrelate = Remedy("normalise over the batch, before each activation", _NORMS[api].format("BatchNorm"))
        return (start, decorrelate)
    if trouble == "linear":
        return (Remedy("put an activation after each layer but the last", "activation = act.gelu"),)
    if trouble == "no gradient":
        check = "check that the loss depends on all outputs and that no stop_gradient or argmax cuts them off"
        return (Remedy(check, "jax.grad(loss)(outputs, y)"), standardise)
    return ()


def _start(layers: Sequence[Layer], inputs: Inputs, instead: str) -> Remedy:
    """Initial weights, an activation that goes with them and inputs of unit variance.

    The weights have the gain of the activation `instead`, if it is not "", which the caller sets; a deep network gets
    a shaped activation in any case.
    """
    active = [layer for layer in layers if layer.activation]
    name = Counter(layer.activation for layer in active).most_common(1)[0][0] if active else ""
    if _is_deep(layers):
        fn = _shapeable(name)
        lines = [f"activation = act.shaped(act.{fn}, {len(active)})", "kernel_init = act.initializers.orthogonal()"]
        remedy = Remedy(f"shape the activation for {len(active)} layers", "\n".join(lines))
    elif instead:
        remedy = _weights(instead, _GAINS[instead])
    else:
        remedy = _gain(name, next((layer for layer in active if layer.activation == name), None))
    remedy = _joined(remedy, Remedy("", "bias_init = jax.nn.initializers.zeros"))
    return _joined(Remedy("standardise the inputs", _STANDARDISE), remedy) if inputs.off else remedy


def _gain(name: str, layer: Layer | None) -> Remedy:
    """Weights whose variance keeps gradients; with another activation where the mean of this one is large."""
    if layer is not None and (layer.mean * layer.gain) ** 2 > 0.5:  # most of its mean square is a constant
        return _joined(Remedy("", "activation = act.tanh"), _weights("tanh", _GAINS["tanh"]))
    return _weights(name, 1.0 if layer is None else layer.slope_gain)


def _weights(name: str, gain: float) -> Remedy:
    """Weights of variance gain² / fan_in, where the gain is that of the activation called `name`."""
    scale = f"{gain**2:.2g}"
    return Remedy(
        f"initial weights of variance {scale}/fan_in, the gain of {name or 'a linear layer'}",
        f'kernel_init = jax.nn.initializers.variance_scaling({scale}, "fan_in", "normal")',
    )


def _is_deep(layers: Sequence[Layer]) -> bool:
    """Whether so many activations follow each other that they must be shaped."""
    return sum(bool(layer.activation) for layer in layers) > DEEP


def _shapeable(name: str) -> str:
    """An activation like this one that `activations.shaped` takes."""
    row = CATALOGUE.get(name)
    if row is None or row.kind != "elementwise" or not row.smooth:
        return "leaky_relu"
    return "tanh" if len(row.saturates) == 2 else name


def _joined(first: Remedy, second: Remedy) -> Remedy:
    """Both changes; a name that the first sets stays as the first sets it."""
    names = {line.split(" = ")[0] for line in first.code.splitlines()}
    rest = [line for line in second.code.splitlines() if line.split(" = ")[0] not in names]
    text = ", ".join(filter(None, (first.text, second.text)))
    return Remedy(text, "\n".join([first.code, *rest]))
