"""How much an optimizer's first step changes the weights, against optax on the same gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite.diagnostics import Diagnosis, diagnose
from jaxopt_lite.flax import MLP

X = jax.random.normal(jax.random.key(0), (64, 16))
Y = jnp.arange(64) % 4
KERNELS = [np.asarray(jax.random.normal(jax.random.key(i), (16, n)) / 4) for i, n in enumerate((16, 4))]


def loss_of(kernels: Any) -> jax.Array:
    outputs = jnp.maximum(X @ kernels[0], 0) @ kernels[1]
    return optax.softmax_cross_entropy_with_integer_labels(outputs, Y).mean()


def of_nnx() -> Any:
    layers = [nnx.Linear(*k.shape, rngs=nnx.Rngs(0)) for k in KERNELS]
    for layer, kernel in zip(layers, KERNELS, strict=True):
        layer.kernel = nnx.Param(jnp.asarray(kernel))
    return nnx.Sequential(layers[0], nnx.relu, layers[1])


def of_linen() -> Any:
    module = nn.Sequential([nn.Dense(16), nn.relu, nn.Dense(4)])
    params = {f"layers_{i}": {"kernel": k, "bias": jnp.zeros(k.shape[1])} for i, k in zip((0, 2), KERNELS, strict=True)}
    return module, {"params": params}


@pytest.mark.parametrize("build", [of_nnx, of_linen])
@pytest.mark.parametrize(
    "tx",
    [opt.adam(0.02), optax.adam(0.02), optax.sgd(0.3, momentum=0.9), opt.adamw(0.01, weight_decay=0.1)],
    ids=["adam", "optax.adam", "optax.sgd", "adamw"],
)
def test_the_ratio_is_that_of_optax(build: Any, tx: Any) -> None:
    plain = optax.adamw(0.01, weight_decay=0.1) if repr(tx).startswith("adamw") else tx
    plain = optax.adam(0.02) if repr(tx).startswith("adam(") else plain
    updates, _ = plain.update(jax.grad(loss_of)(KERNELS), plain.init(KERNELS), KERNELS)
    truth = [np.sqrt(np.mean(np.square(u)) / np.mean(np.square(k))) for u, k in zip(updates, KERNELS, strict=True)]
    diagnosis = diagnose(build(), X, Y, optimizer=tx)
    assert [layer.update for layer in diagnosis.layers] == pytest.approx(truth, rel=1e-4)
    assert diagnosis.verdict == "healthy"
    text = str(diagnosis)
    assert max(map(len, text.splitlines())) <= 80
    assert f"{truth[0]:.2g}" in text.splitlines()[1] and "update" in text.splitlines()[0]
    assert "<th>update</th>" in diagnosis._repr_html_()


def mlp() -> nnx.Module:
    return MLP((16, 32, 32, 4), act.relu, rngs=nnx.Rngs(0))


def update_of(diagnosis: Diagnosis) -> float:
    return float(np.median([layer.update for layer in diagnosis.layers]))


@pytest.mark.parametrize(
    ("rate", "verdict"), [(1.0, "rate high"), (1e-9, "rate low"), (0.0, "healthy"), (1e-3, "healthy")]
)
def test_verdict_and_remedy(rate: float, verdict: str) -> None:
    diagnosis = diagnose(mlp(), X, Y, optimizer=opt.adam(rate))
    assert diagnosis.verdict == verdict
    if verdict == "healthy":
        return
    code = diagnosis.remedies[0].code
    cured = diagnose(mlp(), X, Y, optimizer=eval(code.removeprefix("tx = "), {"opt": opt}))
    assert cured.verdict == "healthy" and update_of(cured) == pytest.approx(1e-3, rel=0.06)


def test_the_remedy_for_a_transformation_without_a_known_rate() -> None:
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(2.0))
    code = diagnose(mlp(), X, Y, optimizer=tx).remedies[0].code
    cured = diagnose(mlp(), X, Y, optimizer=eval(code.removeprefix("tx = "), {"optax": optax, "tx": tx}))
    assert update_of(cured) == pytest.approx(1e-3, rel=0.06)


def test_without_an_optimizer_nothing_is_said_of_updates() -> None:
    diagnosis = diagnose(mlp(), X, Y)
    assert np.isnan([layer.update for layer in diagnosis.layers]).all()
    assert "update" not in str(diagnosis)


def test_layers_without_weights_and_weights_of_zero() -> None:
    first, last = nnx.Linear(16, 8, rngs=nnx.Rngs(0)), nnx.Linear(8, 4, rngs=nnx.Rngs(1))
    last.kernel = nnx.Param(jnp.zeros((8, 4)))
    model = nnx.Sequential(first, nnx.BatchNorm(8, rngs=nnx.Rngs(0)), nnx.tanh, last)
    layers = diagnose(model, X, Y, optimizer=opt.adam(1e-3)).layers
    assert [bool(np.isnan(layer.update)) for layer in layers] == [False, True, True]


@pytest.mark.parametrize("tx", [opt.adam, 0.1, "adam", {"learning_rate": 0.1}])
def test_something_that_is_not_a_transformation(tx: Any) -> None:
    with pytest.raises(TypeError, match="diagnose was given"):
        diagnose(mlp(), X, Y, optimizer=tx)
