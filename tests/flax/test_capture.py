"""Capture: what is seen in modules that know nothing of it, against derivatives by JAX and hooks in PyTorch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite.flax import ActDense, Observed, network, observe
from tests.flax.strangers import MODELS, ROWS, TOKENS, LinenTransformer, Odd, linen

TYPES = {
    "cnn": "Conv BatchNorm Conv Linear Linear",
    "linen cnn": "Conv BatchNorm Conv Dense Dense",
    "transformer": "Embed" + 2 * (" LayerNorm" + 4 * " LinearGeneral" + " LayerNorm Linear Linear") + " Linear",
    "linen transformer": "Embed" + 3 * (" LayerNorm" + 4 * " DenseGeneral" + " LayerNorm Dense Dense") + " Dense",
    "vae": "Linear Linear Linear Linear Linear",
    "linen vae": "Dense Dense Dense Dense Dense",
    "odd": "Linear Linear Linear Linear Linear LoRALinear",
}


def size(outputs: Any) -> jax.Array:
    return sum((jnp.mean(leaf**2) for leaf in jax.tree.leaves(outputs)), jnp.float32(0))


def seen(model: Any, x: Any, call: Any = None, *, train: bool = True) -> Observed:
    """What `observe` sees, computed in one compiled program."""
    net, out = network(model, call=call, train=train), []

    def run(arrays: Any, random: Any, x: Any) -> Any:
        out.append(observe(net, arrays, random, x, size))
        return out[0].outputs, out[0].signals

    outputs, signals = jax.jit(run)(net.arrays, net.random, x)
    return out[0]._replace(outputs=outputs, signals=signals)


@pytest.mark.parametrize("name", MODELS)
def test_a_strangers_module_runs_unchanged(name: str) -> None:
    build, x, call = MODELS[name]
    found = seen(build(), x, call)
    assert " ".join(c.type for c in found.calls) == TYPES[name]
    for signal in found.signals:
        assert signal.z.shape == signal.activation.shape == signal.slope.shape == signal.gradient.shape
        assert float(jnp.abs(signal.gradient).max()) > 0
    assert found.absent == ({"unused": "not called"} if name == "odd" else {})
    assert not found.linear


def test_outputs_are_those_of_the_model_and_the_model_stays_as_it_was() -> None:
    model = Odd(nnx.Rngs(0))
    before = jax.tree.leaves(nnx.state(model))
    found = seen(model, ROWS[:, :8])
    np.testing.assert_allclose(found.outputs, model(ROWS[:, :8]), rtol=1e-5, atol=1e-6)
    assert type(model.gate) is nnx.Linear
    assert all(a is b for a, b in zip(jax.tree.leaves(nnx.state(model)), before, strict=True))


@pytest.mark.parametrize("call, formula", [(0, lambda z: z * jnp.tanh(jnp.log1p(jnp.exp(z)))), (2, jax.nn.silu)])
def test_the_activation_is_found_whatever_its_form(call: int, formula: Any) -> None:
    signal = seen(Odd(nnx.Rngs(0)), ROWS[:, :8]).signals[call]
    np.testing.assert_allclose(signal.activation, formula(signal.z), rtol=1e-5, atol=1e-6)
    slope = jax.vmap(jax.vmap(jax.grad(formula)))(signal.z)
    np.testing.assert_allclose(signal.slope, slope, rtol=1e-4, atol=1e-6)


NAMES = [name for name, row in act.CATALOGUE.items() if row.kind == "elementwise" and name != "identity"]
OF_JAX = ["relu", "selu", "elu", "gelu", "silu", "mish", "relu6", "hard_tanh", "softplus", "squareplus", "sparse_plus"]


@pytest.mark.parametrize("name", [*NAMES, *(f"jax.nn.{name}" for name in OF_JAX)])
def test_every_activation_is_found(name: str) -> None:
    fn = getattr(jax.nn, name[7:]) if name.startswith("jax.nn.") else act.CATALOGUE[name].probe
    net = network(nnx.Sequential(nnx.Linear(20, 4, rngs=nnx.Rngs(0)), fn, jnp.sum))
    found = []
    jax.eval_shape(lambda: found.append(observe(net, net.arrays, net.random, ROWS, jnp.sum)))
    assert found[0].calls[0].curved


def test_a_learned_activation_is_part_of_the_layer_before_it() -> None:
    found = seen(Odd(nnx.Rngs(0)), ROWS[:, :8])
    z, activation, slope, _ = found.signals[4]
    assert found.calls[4].curved
    np.testing.assert_allclose(activation, jnp.where(z >= 0, z, 0.01 * z), rtol=1e-6)
    np.testing.assert_allclose(slope, jnp.where(z >= 0, 1, 0.01), rtol=1e-6)


def test_the_gradient_is_that_of_the_objective_in_the_layer_output() -> None:
    first, last = nnx.Linear(8, 5, rngs=nnx.Rngs(0)), ActDense(5, 3, act.gelu, rngs=nnx.Rngs(1))
    z = first(ROWS[:, :8])
    found = seen(nnx.Sequential(first, last), ROWS[:, :8])
    np.testing.assert_allclose(found.signals[0].gradient, jax.grad(lambda z: size(last(z)))(z), rtol=1e-5)
    np.testing.assert_allclose(found.signals[0].activation, act.gelu(z), rtol=1e-5, atol=1e-7)


def test_dropout_after_an_activation_belongs_to_it_and_noise_ends_it() -> None:
    rngs = nnx.Rngs(0)
    dropped = nnx.Sequential(nnx.Linear(20, 50, rngs=rngs), nnx.relu, nnx.Dropout(0.5, rngs=rngs))
    signal = seen(dropped, ROWS).signals[0]
    assert 0.6 < float(jnp.mean(signal.slope == 0)) < 0.9
    assert set(np.unique(signal.slope)) == {0, 2}
    assert float(jnp.mean(seen(dropped, ROWS, train=False).signals[0].slope == 0)) < 0.6

    class Noisy(nnx.Module):
        def __init__(self) -> None:
            self.linear, self.rngs = nnx.Linear(20, 50, rngs=rngs), nnx.Rngs(1)

        def __call__(self, x: jax.Array) -> jax.Array:
            h = nnx.relu(self.linear(x))
            return h * jax.random.normal(self.rngs.noise(), h.shape)

    assert set(np.unique(seen(Noisy(), ROWS).signals[0].slope)) == {0, 1}


def test_each_step_of_a_scan_is_seen_and_a_long_scan_is_not() -> None:
    found = seen(linen(LinenTransformer(), TOKENS), TOKENS)
    ups = [s.z for s, c in zip(found.signals, found.calls, strict=True) if c.layer == "ScanLinenBlock_0.Dense_0"]
    assert len(ups) == 3 and not np.allclose(ups[0], ups[1])
    recurrent = nnx.RNN(nnx.SimpleCell(4, 5, rngs=nnx.Rngs(0)))
    assert len(seen(recurrent, jnp.ones((2, 3, 4))).calls) == 6
    long = seen(recurrent, jnp.ones((2, 65, 4)))
    assert long.calls == () and set(long.absent.values()) == {"in a loop"}


@pytest.mark.parametrize("fn", [None, lambda x: 2 * x, jnp.mean])
def test_a_network_without_activations_is_linear(fn: Any) -> None:
    layers = [nnx.Linear(20, 8, rngs=nnx.Rngs(0)), *([fn] if fn and fn is not jnp.mean else [])]
    model = nnx.Sequential(*layers, nnx.Linear(8, 3, rngs=nnx.Rngs(1)), *([fn] if fn is jnp.mean else []))
    found = seen(model, ROWS)
    assert found.linear and not any(call.curved for call in found.calls)
    assert not seen(nnx.Sequential(*layers, nnx.relu), ROWS).linear


def test_references_are_the_activation_at_standard_normal_values() -> None:
    net = network(linen(nn.Sequential([nn.Dense(300), nn.sigmoid, nn.Dense(2)]), ROWS))

    def references(arrays: Any, x: Any) -> Any:
        return [seen[1:4] for seen in observe(net, arrays, net.random, x, jnp.sum).references()]

    hidden, last = jax.jit(references)(net.arrays, 100 * ROWS)
    z, values, slope = hidden
    assert abs(float(z.mean())) < 1e-2 and abs(float(z.std()) - 1) < 1e-2
    np.testing.assert_allclose(values, jax.nn.sigmoid(z), rtol=1e-6)
    np.testing.assert_allclose(slope, values * (1 - values), rtol=1e-5)
    np.testing.assert_array_equal(last[0], last[1])


@pytest.mark.parametrize("api", ["nnx", "linen"])
@pytest.mark.parametrize("conv", [False, True])
def test_statistics_equal_hooks_in_pytorch(api: str, conv: bool) -> None:
    torch: Any = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shapes = [(3, 3, 2, 4), (3, 3, 4, 4), (4, 3)] if conv else [(8, 16), (16, 16), (16, 3)]
    kernels = [rng.normal(0, 0.5, shape).astype("float32") for shape in shapes]
    x = rng.normal(size=(5, 6, 6, 2) if conv else (5, 8)).astype("float32")

    layers: list[Any] = []
    hooked: list[Any] = []
    for kernel in kernels:
        if kernel.ndim == 4:
            layers.append(torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding="same"))
        else:
            layers.append(torch.nn.Linear(*kernel.shape))
        layers[-1].weight.data = torch.tensor(np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1))))
        layers[-1].bias.data.zero_()
        layers[-1].register_forward_hook(lambda _, __, z: (z.retain_grad(), hooked.append(z))[1])
    h = torch.tensor(x)
    h = h.permute(0, 3, 1, 2) if conv else h
    for layer in layers[:-1]:
        h = torch.tanh(layer(h))
    out = layers[-1](h.mean((2, 3)) if conv else h)
    (out**2).mean().backward()

    pool = (lambda h: h.mean((1, 2))) if conv else (lambda h: h)
    parameters = {f"layers_{i}": {"kernel": jnp.asarray(k)} for i, k in zip((0, 2, 5), kernels, strict=True)}
    if api == "nnx":
        make = lambda k: (  # noqa: E731
            nnx.Conv(k.shape[2], k.shape[3], (3, 3), use_bias=False, rngs=nnx.Rngs(0))
            if k.ndim == 4
            else nnx.Linear(*k.shape, use_bias=False, rngs=nnx.Rngs(0))
        )
        a, b, c = (make(k) for k in kernels)
        for layer, kernel in zip((a, b, c), kernels, strict=True):
            layer.kernel = nnx.Param(jnp.asarray(kernel))
        model: Any = nnx.Sequential(a, jnp.tanh, b, jnp.tanh, pool, c)
    else:
        size_of = (lambda n: nn.Conv(n, (3, 3), use_bias=False)) if conv else (lambda n: nn.Dense(n, use_bias=False))
        module = nn.Sequential([size_of(4 if conv else 16), jnp.tanh] * 1 + [size_of(4 if conv else 16), jnp.tanh])
        module = nn.Sequential([*module.layers, pool, nn.Dense(3, use_bias=False)])
        model = module, {"params": parameters}
    found = seen(model, x)
    for signal, theirs in zip(found.signals, hooked, strict=True):
        z, gradient = (t.detach().numpy() for t in (theirs, theirs.grad))
        z, gradient = (np.moveaxis(t, 1, -1) if t.ndim == 4 else t for t in (z, gradient))
        for ours, other in ((signal.z, z), (signal.gradient, gradient)):
            assert np.abs(ours - other).max() < 1e-5 * np.abs(other).max()
        if theirs is not hooked[-1]:
            assert np.abs(signal.slope - (1 - np.tanh(z) ** 2)).max() < 1e-5


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match=r"type Dense; give an nnx.Module, or for Linen the pair \(module, variables\)"):
        network(nn.Dense(3))
    module, variables = linen(nn.Dense(3), ROWS)
    assert network(module.bind(variables)).layers == network((module, variables)).layers == {"(model)": ""}


def test_linen_parameters_with_partitioning() -> None:
    """The same layers and signals as of the model without the boxes around its parameters."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
            return nn.Dense(2, kernel_init=init)(nn.relu(nn.Dense(4, kernel_init=init)(x)))

    x = jnp.ones((3, 5))
    boxed = Net().init(jax.random.key(0), x)
    plain = nn.meta.unbox(boxed)
    assert jax.tree_util.tree_structure(boxed) != jax.tree_util.tree_structure(plain)
    found, expected = seen((Net(), boxed), x), seen((Net(), plain), x)
    assert [(c.type, c.curved) for c in found.calls] == [("Dense", True), ("Dense", False)]
    assert found.calls == expected.calls and found.absent == {}
    jax.tree.map(np.testing.assert_array_equal, found.signals, expected.signals)
    net = network((Net(), boxed))
    assert set(net.parameters(net.arrays)["Dense_0"]) == {"bias", "kernel"}
