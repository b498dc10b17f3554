"""Verdicts of networks whose trouble is known, what is printed, and input that cannot work."""

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import training
from jaxopt_lite.diagnostics import RULES, Diagnosis, diagnose
from jaxopt_lite.flax import MLP
from tests.flax.strangers import MODELS, ROWS, Odd, elbo

X = jax.random.normal(jax.random.key(0), (64, 16))
Y = jnp.arange(64) % 4


def mlp(depth: int, fn: Any = act.relu, scale: float = 2.0, bias: float = 0.0, seed: int = 0) -> nnx.Module:
    """A perceptron of 32 units a layer with weights of variance scale / fan_in and equal biases."""
    model: Any = MLP((16, *[32] * depth, 4), fn, rngs=nnx.Rngs(seed))
    for layer in model.layers:
        layer.kernel = nnx.Param(layer.kernel[...] * np.sqrt(scale).astype("float32"))
    for layer in model.layers[:-1]:
        layer.bias = nnx.Param(layer.bias[...] + bias)
    return model


CASES: dict[str, tuple[Callable[[], nnx.Module], Any, str]] = {
    "healthy": (lambda: mlp(3), X, "healthy"),
    "vanishing": (lambda: mlp(10, jax.nn.sigmoid, 1.0), X, "vanishing"),
    "exploding": (lambda: mlp(12, act.elu, 6.0), X, "exploding"),
    "dead": (lambda: mlp(3, nnx.relu, bias=-6.0), X, "dead"),
    "nearly dead": (lambda: mlp(3, nnx.relu, bias=-2.5), X, "dead"),
    "saturated": (lambda: mlp(3, jnp.tanh, 60.0), X, "saturated"),
    "collapsed": (lambda: mlp(3), 8 + X, "collapsed"),
    "linear": (lambda: mlp(3, lambda x: 2 * x), X, "linear"),
    "not finite": (lambda: mlp(3, scale=np.inf), X, "not finite"),
}


@pytest.mark.parametrize("name", CASES)
def test_verdict(name: str) -> None:
    build, x, truth = CASES[name]
    diagnosis = diagnose(build(), x, Y)
    assert diagnosis.verdict == truth
    assert bool(diagnosis.remedies) == (truth != "healthy")
    if truth not in ("healthy", "linear"):
        assert diagnosis.layer == "layers.0"
    text = str(diagnosis)
    assert max(map(len, text.splitlines())) <= 80
    assert truth.upper() in text
    json.dumps(diagnosis.to_dict(), allow_nan=False)


def test_a_loss_that_does_not_depend_on_the_outputs() -> None:
    diagnosis = diagnose(mlp(2), X, Y, lambda outputs, y: jnp.zeros(64) + 0 * outputs[:, 0])
    assert diagnosis.verdict == "no gradient"


# The tests of capture have all of `MODELS`; here one of each: images, sequences in a scan, several outputs, odd layers.
@pytest.mark.parametrize("name", ["cnn", "linen transformer", "vae", "odd"])
def test_a_strangers_module_is_diagnosed(name: str) -> None:
    build, x, call = MODELS[name]
    loss = {"y": x, "loss": elbo} if "vae" in name else {}
    diagnosis = diagnose(build(), x, call=call, **loss)
    assert diagnosis.verdict in ("healthy", "collapsed")  # "odd" and 6 examples of small layers
    assert np.isfinite([layer.gradient for layer in diagnosis.layers]).all()


def test_activations_are_named() -> None:
    found = [layer.activation for layer in diagnose(Odd(nnx.Rngs(0)), jnp.tile(ROWS[:, :8], (4, 1))).layers]
    assert found == ["mish", "mish", "silu", "", "leaky_relu", ""]
    names = [layer.name for layer in diagnose(Odd(nnx.Rngs(0)), ROWS[:, :8]).layers]
    assert names[:2] == ["shared", "shared (2)"]


def test_a_layer_that_is_not_called_is_reported() -> None:
    assert "unused is not called: nothing is known of it" in diagnose(Odd(nnx.Rngs(0)), ROWS[:, :8]).hints


def test_the_numbers_of_a_layer(rng: Any) -> None:
    kernels = [rng.normal(0, 0.5, shape).astype("float32") for shape in ((16, 12), (12, 4))]
    layers = [nnx.Linear(*k.shape, rngs=nnx.Rngs(0)) for k in kernels]
    for layer, kernel in zip(layers, kernels, strict=True):
        layer.kernel = nnx.Param(jnp.asarray(kernel))
    diagnosis = diagnose(nnx.Sequential(layers[0], nnx.relu, layers[1]), X, Y)
    z = np.asarray(X, float) @ kernels[0]
    out = np.maximum(z, 0) @ kernels[1]
    probability = np.exp(out) / np.exp(out).sum(1, keepdims=True)
    at_out = (probability - np.eye(4)[Y]) / 64
    at_z = (at_out @ kernels[1].T) * (z > 0)
    first, last = diagnosis.layers
    assert first.rms == pytest.approx(np.sqrt((z**2).mean()), rel=1e-5)
    assert first.gradient == pytest.approx(np.linalg.norm(at_z), rel=1e-5)
    assert first.ratio == pytest.approx(np.linalg.norm(at_z) / np.linalg.norm(at_out), rel=1e-5)
    assert first.saturated == pytest.approx((z <= 0).mean())
    assert first.usual == pytest.approx(0.5, abs=2e-3)
    assert (first.gain, first.slope_gain) == pytest.approx((2**0.5, 2**0.5), rel=5e-3)
    assert (last.ratio, last.activation) == (1.0, "")
    assert diagnosis.loss == pytest.approx(-np.log(probability[np.arange(64), Y]).mean(), rel=1e-5)


def test_a_trained_linen_model_of_training() -> None:
    task = training.supervised(lambda _, rngs: nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(4)]), ((X, Y), (X, Y)))
    from jaxopt_lite import optimizers

    model = training.run(task, {"optimizer": optimizers.sgd(0.1)}, steps=2).model()
    assert diagnose(model, X, Y).verdict == "healthy"


def test_remedies_are_written_for_the_api_of_the_model() -> None:
    module = nn.Sequential([nn.Dense(16, kernel_init=nn.initializers.normal(5.0)), nn.tanh, nn.Dense(4)])
    diagnosis = diagnose((module, module.init(jax.random.key(0), X)), X)
    assert diagnosis.verdict == "saturated"
    assert [r.code for r in diagnosis.remedies if "norm =" in r.code] == ["norm = nn.LayerNorm()"]
    assert 'variance_scaling(2.2, "fan_in", "normal")' in diagnosis.remedies[0].code


def test_inputs_far_from_standard_are_standardised_first() -> None:
    diagnosis = diagnose(mlp(3, jnp.tanh), 50 * X)
    assert diagnosis.verdict == "saturated"
    assert (
        diagnosis.remedies[0].code.splitlines()[0]
        == "x = (x - x.mean(0, keepdims=True)) / (x.std(0, keepdims=True) + 1e-6)"
    )


@pytest.mark.parametrize("change", [{"train": False}, {"call": lambda model, x: model(x)}])
def test_mode_and_call(change: Any) -> None:
    assert isinstance(diagnose(mlp(2), X, Y, **change), Diagnosis)


def _equinox() -> Any:
    return pytest.importorskip("equinox").nn.Linear(16, 4, key=jax.random.key(0))


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "one example": (lambda: diagnose(mlp(2), X[:1]), ValueError, r"x has shape \(1, 16\); give a batch of at least 2"),
    "NaN": (lambda: diagnose(mlp(2), X.at[0, 0].set(jnp.nan)), ValueError, "x has entries that are NaN or infinite"),
    "infinite targets": (
        lambda: diagnose(mlp(2), X, jnp.full((64, 4), jnp.inf), "mse"),
        ValueError,
        "y has entries that are NaN or infinite",
    ),
    "Equinox": (lambda: diagnose(_equinox(), X), TypeError, "an Equinox module, Linear; .*docs/how-to/equinox.md"),
    "no model": (lambda: diagnose(3, X), TypeError, "the model is of type int; give an nnx.Module"),
    "no variables": (lambda: diagnose(nn.Dense(3), X), TypeError, "variables = module.init"),
    "loss per unit": (
        lambda: diagnose(mlp(2), X, Y, lambda outputs, y: outputs),
        ValueError,
        r"one number per example, shape \(64,\), or one number; it gave \(64, 4\)",
    ),
    "loss unknown": (lambda: diagnose(mlp(2), X, Y, "mes"), ValueError, "did you mean 'mse'"),
    "loss no function": (lambda: diagnose(mlp(2), X, Y, 3), TypeError, "a name or a function"),  # type: ignore[arg-type]
    "labels too large": (lambda: diagnose(mlp(2), X, Y + 9), ValueError, "the labels run up to 12"),
    "labels too few": (lambda: diagnose(mlp(2), X, Y[:3]), ValueError, r"64 examples and y has shape \(3,\)"),
    "no layers": (lambda: diagnose(nnx.Sequential(nnx.relu), X), ValueError, "the model has no parameters"),
}


@pytest.mark.parametrize("name", WRONG)
def test_input_that_cannot_work(name: str) -> None:
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


def test_rules_are_the_table_of_the_how_to_page() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "how-to" / "diagnose.md").read_text(encoding="utf-8")
    for name, rule in RULES.items():
        limit = f"{rule.limit:g}" if rule.limit else ""
        assert f"| {name} | {rule.statistic} | {limit} | {rule.meaning} |" in page


def test_a_long_table_shows_both_ends_and_the_html_has_the_verdict() -> None:
    diagnosis = diagnose(mlp(26, act.elu, 1.5), X)
    lines = str(diagnosis).splitlines()
    assert lines[13] == "…" and lines[12].startswith("layers.11 ") and lines[14].startswith("layers.15 ")
    assert f"{diagnosis.verdict.upper()}: " in diagnosis._repr_html_()


def test_picture(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    figure = diagnose(mlp(10, jnp.tanh, 60.0), X).plot(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    *panels, gradients = figure.axes
    assert len(panels) == 8 and gradients.get_yscale() == "log"
    assert panels[0].get_title(loc="left") == "layers.0: tanh"
    assert len(diagnose(nnx.Linear(16, 4, rngs=nnx.Rngs(0)), X).plot().axes) == 1
