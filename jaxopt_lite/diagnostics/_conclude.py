"""From the records of layers to a diagnosis: the same rules for one call and for what a training has recorded."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxopt_lite.diagnostics import _diagnosis
from jaxopt_lite.diagnostics._diagnosis import Diagnosis
from jaxopt_lite.diagnostics._layer import Layer
from jaxopt_lite.diagnostics._remedies import Inputs, remedies
from jaxopt_lite.diagnostics._rules import judged, main_trouble
from jaxopt_lite.diagnostics._update import rate_remedy
from jaxopt_lite.flax import Observed


class Label(NamedTuple):
    """What is static about one call of a layer: its name, class and activation, and the shape of its output."""

    name: str
    type: str
    activation: str
    shape: tuple[int, ...]


class Labels(NamedTuple):
    """What is static about an observed network.

    Attributes:
        layers: one label for each call of a layer.
        absent: layers that are not seen, by the reason.
        linear: whether the network is a linear function of its inputs.
        residual: whether it has residual blocks.
        api: "nnx" or "linen".
    """

    layers: tuple[Label, ...]
    absent: Mapping[str, str]
    linear: bool
    residual: bool
    api: str


def labelled(observed: Observed, activations: Sequence[str], api: str) -> Labels:
    """The labels of an observed network; a second call of a layer gets the name `layer (2)`.

    Args:
        observed: what `observe` has seen.
        activations: the name of the activation after each call; "" if there is none.
        api: "nnx" or "linen".
    """
    layers, calls = [], dict[str, int]()
    for call, signal, activation in zip(observed.calls, observed.signals, activations, strict=True):
        calls[call.layer] = calls.get(call.layer, 0) + 1
        name = call.layer if calls[call.layer] == 1 else f"{call.layer} ({calls[call.layer]})"
        layers.append(Label(name, call.type, activation, tuple(signal.z.shape)))
    residual = observed.sums >= len(list(filter(None, activations))) / 3
    return Labels(tuple(layers), observed.absent, observed.linear, residual, api)


def concluded(
    labels: Labels,
    layers: Sequence[Layer],
    inputs: Inputs,
    loss: float,
    gradient_norm: float,
    optimizer: Any = None,
) -> Diagnosis:
    """The diagnosis that the rules make of the records of all layers, which are not judged yet."""
    layers = tuple(judged(layers))
    verdict, layer = main_trouble(layers, labels.linear)
    return Diagnosis(
        verdict=verdict,
        layer=layer.name if layer else "",
        explanation=_diagnosis.explained(verdict, layer, layers, inputs),
        remedies=(rate_remedy(layers, optimizer),)
        if verdict in ("rate high", "rate low")
        else remedies(verdict, layers, inputs, labels.api, labels.residual),
        hints=_diagnosis.hinted(layers, labels.absent, inputs, verdict),
        layers=layers,
        inputs=inputs,
        loss=loss,
        gradient_norm=gradient_norm,
    )


def check_seen(labels: Labels) -> None:
    """Check that some layer of a network was seen.

    Raises:
        ValueError: no layer is called.
    """
    if not labels.layers:
        raise ValueError(
            "no layer of the model is called: diagnose sees modules with parameters that are called inside the "
            f"model's call; absent are {', '.join(labels.absent) or 'all: the model has no parameters'}"
        )
