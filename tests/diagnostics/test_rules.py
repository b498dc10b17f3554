"""Verdicts, remedies and tables of layers whose statistics are written by hand."""

import math
from typing import Any

import numpy as np
import pytest

from jaxopt_lite.diagnostics import Diagnosis, Layer
from jaxopt_lite.diagnostics._conclude import Labels, concluded
from jaxopt_lite.diagnostics._layer import Sample
from jaxopt_lite.diagnostics._remedies import Inputs

EMPTY = np.zeros(0, np.float32)
RELU = Layer(
    name="",
    type="Linear",
    activation="relu",
    shape=(64, 32),
    rms=1.0,
    offset=0.56,
    dead=0.0,
    saturated=0.5,
    usual=0.5,
    alike=0.3,
    gradient=1.0,
    ratio=math.nan,
    mean=0.4,
    gain=2**0.5,
    slope_gain=2**0.5,
    can_die=True,
    one_sided=True,
    finite=True,
    sample=Sample(EMPTY, EMPTY, EMPTY),
)


def diagnosis(count: int, layer: Layer = RELU, **changed: dict[str, Any]) -> Diagnosis:
    """The diagnosis of layers l0, l1, ..., some of them changed."""
    layers = [layer._replace(name=f"l{i}", **changed.get(f"l{i}", {})) for i in range(count)]
    return concluded(Labels((), {}, False, False, "nnx"), layers, Inputs(1.0, 0.0, 0.1), math.nan, 1.0)


def test_deep_networks_with_dead_units_get_a_shaped_activation() -> None:
    remedy = diagnosis(30, l3={"dead": 0.9}).remedies[0]
    assert remedy.text == "shape the activation for 30 layers"
    assert remedy.code.splitlines() == [
        "activation = act.shaped(act.leaky_relu, 30)",
        "kernel_init = act.initializers.orthogonal()",
        "bias_init = jax.nn.initializers.zeros",
    ]


def test_the_weights_for_dead_units_have_the_gain_of_the_new_activation() -> None:
    """That of hard_sigmoid is 8.6, and its mean is so large that tanh replaces it for other troubles."""
    layer = RELU._replace(activation="hard_sigmoid", mean=0.5, gain=1.8, slope_gain=8.6)
    code = diagnosis(3, layer, l1={"dead": 0.9}).remedies[0].code.splitlines()
    assert code[0] == "activation = act.leaky_relu"
    assert code[1] == 'kernel_init = jax.nn.initializers.variance_scaling(2, "fan_in", "normal")'
    code = diagnosis(3, layer, l0={"gradient": 1e-6}).remedies[0].code.splitlines()
    assert code[0] == "activation = act.tanh" and "variance_scaling(2.2," in code[1]


@pytest.mark.parametrize("last", [0.0, math.nan, math.inf])
def test_without_a_gradient_at_the_last_layer_none_vanishes(last: float) -> None:
    found = diagnosis(3, l2={"gradient": last, "finite": math.isfinite(last)})
    assert found.verdict == ("not finite" if last else "no gradient")
    assert not any("vanishing" in layer.troubles for layer in found.layers)


def test_signals_that_grow_are_seen_without_a_gradient() -> None:
    assert "exploding" in diagnosis(2, l1={"gradient": 0.0, "rms": 1e4}).layers[1].troubles


def test_exploding_gradients_behind_a_layer_of_zeros() -> None:
    found = diagnosis(2, l0={"rms": 0.0, "gradient": 1e4})
    assert found.verdict == "exploding"
    assert found.explanation == "from l1 back to l0 the gradient grows 1.0e+04 times"


def test_a_nearly_dead_layer_is_explained_by_its_flat_entries() -> None:
    few = diagnosis(3, l1={"dead": 0.1, "saturated": 0.96})
    many = diagnosis(3, l1={"dead": 0.8, "saturated": 0.96})
    assert few.verdict == many.verdict == "dead"
    assert few.explanation == "96% of the entries of l1 lie where relu is flat (1 of 3 layers, first l1)"
    assert many.explanation == "80% of the units of l1 are constant with derivative 0 (1 of 3 layers, first l1)"


def test_a_long_table_shows_the_layer_of_the_verdict() -> None:
    lines = str(diagnosis(31, l15={"dead": 0.9})).splitlines()
    names = [line.split()[0] for line in lines[1 : lines.index("")]]
    assert names == [*(f"l{i}" for i in range(12)), "…", "l15", "…", *(f"l{i}" for i in range(19, 31))]
    lines = str(diagnosis(31, l12={"dead": 0.9})).splitlines()
    assert [line.split()[0] for line in lines[12:15]] == ["l11", "l12", "…"]


def test_without_samples_the_picture_is_the_gradient() -> None:
    pytest.importorskip("matplotlib")
    (axis,) = diagnosis(3).plot().axes
    assert axis.get_yscale() == "log"
