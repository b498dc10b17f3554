"""What `diagnose` returns: layers, verdict and remedies, printed as a table and drawn as a picture."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxopt_lite._names import count
from jaxopt_lite.diagnostics import _table
from jaxopt_lite.diagnostics._layer import Layer
from jaxopt_lite.diagnostics._remedies import Inputs, Remedy
from jaxopt_lite.diagnostics._rules import HINTS, has_dead_units

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Diagnosis(NamedTuple):
    """The state of a network on one batch.

    `print(diagnosis)` shows a table of at most 80 columns with the verdict and what to change.

    Attributes:
        verdict: the trouble to cure first, a name in `RULES`, or "healthy".
        layer: name of the first layer that has it; "" if it concerns no layer.
        explanation: the verdict in a sentence.
        remedies: changes that cure it, the best first.
        hints: what else was noticed.
        layers: a record for each call of a layer, in the order of the calls.
        inputs: statistics of the inputs.
        loss: mean loss of the batch; NaN without y.
        gradient_norm: norm of the gradient of the loss with respect to the model's arrays of floats.

    Example:
        >>> import jax
        >>> from flax import nnx
        >>> from jaxopt_lite import activations
        >>> from jaxopt_lite.diagnostics import diagnose
        >>> from jaxopt_lite.flax import MLP
        >>> x = jax.random.normal(jax.random.key(0), (32, 16))
        >>> diagnosis = diagnose(MLP((16, *[32] * 8, 4), activations.sigmoid, rngs=nnx.Rngs(0)), x)
        >>> diagnosis.verdict, diagnosis.layer
        ('vanishing', 'layers.0')
        >>> print(diagnosis.remedies[0].code)
        activation = act.tanh
        kernel_init = jax.nn.initializers.variance_scaling(2.2, "fan_in", "normal")
        bias_init = jax.nn.initializers.zeros
    """

    verdict: str
    layer: str
    explanation: str
    remedies: tuple[Remedy, ...]
    hints: tuple[str, ...]
    layers: tuple[Layer, ...]
    inputs: Inputs
    loss: float
    gradient_norm: float

    def __str__(self) -> str:
        return _table.text(self)

    def _repr_html_(self) -> str:
        return _table.html(self)

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the pre-activations of each layer over its activation, and the gradient by depth.

        Args:
            path: a file to write the picture to, `.png`, `.svg` or `.pdf`. Default None: only the figure is returned.

        Returns:
            The matplotlib figure. Flat parts of the activation are shaded. Of a diagnosis that was recorded, as in
            `Trained.diagnoses`, only the gradient is drawn: it has no samples of the pre-activations.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.

        Example:
            >>> from flax import nnx
            >>> from jaxopt_lite.flax import MLP
            >>> x = jax.random.normal(jax.random.key(0), (32, 16))
            >>> figure = diagnose(MLP((16, 8, 4), activations.tanh, rngs=nnx.Rngs(0)), x).plot()
            >>> len(figure.axes)
            2
        """
        from jaxopt_lite.diagnostics._picture import drawn

        return drawn(self, None if path is None else Path(path))

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as dicts, lists, texts and numbers, for JSON; NaN is None, samples are left out.

        Returns:
            The fields of the diagnosis; layers and remedies are lists of dicts.

        Example:
            >>> from flax import nnx
            >>> x = jax.random.normal(jax.random.key(0), (32, 16))
            >>> diagnose(nnx.Linear(16, 4, rngs=nnx.Rngs(0)), x).to_dict()["verdict"]
            'linear'
        """
        layers = [{k: _plain(v) for k, v in layer._asdict().items() if k != "sample"} for layer in self.layers]
        remedies = [remedy._asdict() for remedy in self.remedies]
        inputs = {name: _plain(value) for name, value in self.inputs._asdict().items()}
        rest = {"layers": layers, "remedies": remedies, "inputs": inputs, "hints": list(self.hints)}
        return {name: _plain(value) for name, value in self._asdict().items() if name not in rest} | rest


def explained(verdict: str, layer: Layer | None, layers: tuple[Layer, ...], inputs: Inputs) -> str:
    """The verdict in a sentence."""
    having = [layer for layer in layers if verdict in layer.troubles]
    total = count(len(layers), "layer")
    where = f"{len(having)} of {total}, first {layer.name}" if layer else ""
    if verdict == "healthy":
        return f"no trouble found in {total}: gradients reach them all, and different inputs stay different"
    if verdict == "linear":
        return "the network has no activations: its outputs are a linear function of its inputs"
    assert layer is not None
    if verdict == "not finite":
        return f"NaN or infinite values, first in {layer.name}"
    if verdict == "no gradient":
        return "the gradient at the last layer is 0: the loss does not depend on the outputs, or is flat there"
    if verdict == "dead" and has_dead_units(layer):
        return f"{layer.dead:.0%} of the units of {layer.name} are constant with derivative 0 ({where})"
    if verdict in ("dead", "saturated"):
        return f"{layer.saturated:.0%} of the entries of {layer.name} lie where {layer.activation} is flat ({where})"
    if verdict in ("rate high", "rate low"):
        return f"the first step changes the weights of {layer.name} by {layer.update:.2g} times their size ({where})"
    if verdict == "vanishing":
        smallest = min(having, key=lambda layer: layer.ratio)
        return (
            f"the gradient at {smallest.name} is {smallest.ratio:.1e} of that at {layers[-1].name}: "
            f"{len(having)} of {total} learn almost nothing"
        )
    if verdict == "exploding":
        largest = max(layers, key=lambda layer: layer.ratio)
        text = f"from {layers[-1].name} back to {largest.name} the gradient grows {largest.ratio:.1e} times"
        if layers[0].rms == 0:  # nothing to compare the last layer with
            return text
        return f"{text}; signals grow {layers[-1].rms / layers[0].rms:.1e} times on their way forward"
    cause = "; the inputs themselves are" if inputs.alike > 0.9 else ""
    return f"different inputs are alike in {layer.name}: mean |cosine| {layer.alike:.3f} ({where}){cause}"


def hinted(layers: tuple[Layer, ...], absent: Mapping[str, str], inputs: Inputs, verdict: str) -> tuple[str, ...]:
    """What else was noticed."""
    hints = [f"{name} is {reason}: nothing is known of it" for name, reason in absent.items()]
    others = dict.fromkeys(t for layer in layers for t in layer.troubles if t not in (verdict, *HINTS))
    hints += [f"also {name}: {_some(layers, name)}" for name in others]
    offset = [layer for layer in layers if "not zero-centred" in layer.troubles]
    if offset:
        names = ", ".join(dict.fromkeys(layer.activation for layer in offset))
        hints.append(f"outputs of {names} are not zero-centred ({_some(layers, 'not zero-centred')})")
    if inputs.off:
        hints.append(
            f"inputs are not standardised: root mean square {inputs.rms:.3g}, |mean| / rms {inputs.offset:.2f}"
        )
    return tuple(hints)


def _some(layers: tuple[Layer, ...], trouble: str) -> str:
    names = [layer.name for layer in layers if trouble in layer.troubles]
    return names[0] if len(names) == 1 else f"{len(names)} layers from {names[0]} to {names[-1]}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value
