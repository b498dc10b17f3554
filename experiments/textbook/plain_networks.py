"""Plain networks, without normalisation or skip connections, and what several experiments do with them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from experiment import Interval, interval, shown
from flax import nnx

from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers

Function = Callable[[jax.Array], jax.Array]
Initializer = Callable[..., jax.Array]


class Plain(nnx.Module):
    """Dense layers of one width with an activation after each, and a linear layer at the end.

    The hidden layers are scanned, so that a deep network compiles as fast as a shallow one.

    Args:
        sizes: units of the input, of each hidden layer and of the output.
        depth: number of hidden layers, at least 1.
        activation: what follows each hidden layer.
        init: initializer of all kernels; biases start at 0.
        rngs: random streams.
        used: how many of the hidden layers are used, a number that may be traced; the others pass their input on.
            Default: all.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        depth: int,
        activation: Any,
        init: Initializer,
        rngs: nnx.Rngs,
        used: Any = None,
    ) -> None:
        inputs, width, outputs = sizes
        self.first = nnx.Linear(inputs, width, kernel_init=init, rngs=rngs)
        keys = jax.random.split(rngs.params(), depth - 1)
        # one by one: a batch of QR decompositions waits for threads that two runs at once both hold
        self.kernels = nnx.Param(jax.lax.map(lambda key: init(key, (width, width), jnp.float32), keys))
        self.biases = nnx.Param(jnp.zeros((depth - 1, width)))
        self.last = nnx.Linear(width, outputs, kernel_init=init, rngs=rngs)
        self.activation = lambda z: activation(z)
        self.in_use = lambda layer: True if used is None else layer < used

    def __call__(self, x: jax.Array) -> jax.Array:
        def layer(h: jax.Array, of_layer: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            kernel, bias, number = of_layer
            return jnp.where(self.in_use(number), self.activation(h @ kernel + bias), h), None

        h = self.activation(self.first(x))
        numbers = jnp.arange(1, 1 + self.kernels.shape[0])
        return self.last(jax.lax.scan(layer, h, (self.kernels[...], self.biases[...], numbers))[0])


def split(x: np.ndarray, y: np.ndarray, sizes: tuple[int, int], seed: int) -> Any:
    """Training, validation and test part, drawn with the seed; `sizes` are those of the last two."""
    order = np.random.default_rng(seed).permutation(len(x))
    test, validation, train = np.split(order, np.cumsum(sizes[::-1]))
    return tuple((x[rows], y[rows]) for rows in (train, validation, test))


def digits(seed: int) -> Any:
    """The handwritten digits, split with the seed; inputs with mean 0 and variance 1 over the training part."""
    parts = training.builtin("digits").data
    x, y = (np.concatenate([np.asarray(part[i]) for part in parts]) for i in (0, 1))
    made = split(x, y, (360, 360), seed)
    mean, deviation = made[0][0].mean(), made[0][0].std()
    return tuple(((x - mean) / deviation, y) for x, y in made)


def seeds_of(seed: int, count: int) -> list[int]:
    """Seeds of that many runs, drawn from one seed."""
    return [int(number) for number in np.random.default_rng(seed).integers(0, 2**32, count)]


def scores(results: sweeps.Results, setting: sweeps.Setting, name: str) -> np.ndarray:
    """A score of a setting by seed, in the order of the seeds."""
    return np.array([results.columns[name][row] for row in setting.trials])


class Accuracy(NamedTuple):
    """Test accuracy by seed at the best setting on validation data, and the mean validation accuracy that selected it."""

    test: np.ndarray
    validation: float


def accuracy_of(results: sweeps.Results, setting: sweeps.Setting) -> Accuracy:
    """The accuracies of a setting."""
    return Accuracy(scores(results, setting, "test_accuracy"), setting.scores["validation_accuracy"].mean)


def best_of(candidates: Iterable[Accuracy]) -> np.ndarray:
    """Test accuracy of the candidate with the highest validation accuracy."""
    return max(candidates, key=lambda one: one.validation).test


def trained_by_depth(
    networks: Mapping[str, tuple[Any, float]],
    depths: Sequence[int],
    optimizers: Mapping[str, Any],
    data: Any,
    width: int,
    steps: int,
    seeds: Sequence[int],
) -> dict[tuple[str, str, int], Accuracy]:
    """Accuracy of plain networks by network, optimizer and depth, at the best setting on validation data.

    Networks with the same activation share one compiled program, for all their gains and depths.

    Args:
        networks: by name the activation and the gain of its normal weights.
        depths: numbers of hidden layers.
        optimizers: by name, with their rates as `sweeps.values`.
        data: three parts of 64 inputs and 10 classes.
        width: units of a hidden layer.
        steps: updates, of 32 examples each.
        seeds: seeds of the runs.
    """

    def build(trial: Any, rngs: nnx.Rngs) -> Plain:
        init = initializers.normal(trial["network"]["gain"])
        f = trial["network"]["activation"]
        return Plain((64, width, 10), max(depths), f, init, rngs, used=trial["depth"])

    space = {
        "network": sweeps.choice(
            {name: {"activation": f, "gain": sweeps.values([float(gain)])} for name, (f, gain) in networks.items()}
        ),
        "depth": sweeps.values(list(depths)),
        "optimizer": sweeps.choice(dict(optimizers)),
    }
    task = training.supervised(build, data, batch_size=32)
    results = sweeps.run(task, space, steps=steps, seeds=seeds, keep=0, progress=False)
    return {
        (one.columns["network"], one.columns["optimizer"], int(one.columns["depth"])): accuracy_of(results, one)
        for one in results.best("network", "optimizer", "depth")
    }


class Signals(NamedTuple):
    """What random networks do to signals and gradients, by layer; leading axes as those of the kernels.

    Attributes:
        forward: rms of the pre-activations.
        backward: natural logarithm of the rms of the gradient at the pre-activations, relative to the last layer's.
        similarity: mean cosine between the pre-activations of different inputs in the last layer.
    """

    forward: jax.Array
    backward: jax.Array
    similarity: jax.Array


@partial(jax.jit, static_argnums=0)
def signals(f: Function, kernels: jax.Array, x: jax.Array, gradient: jax.Array) -> Signals:
    """Signals and gradients of the network with these kernels, (depth, width, width), and no biases.

    Gradients are rescaled in every layer, so that none is too small or too large for float32.

    Args:
        f: the activation.
        kernels: one for each layer.
        x: inputs (examples, width).
        gradient: gradient at the last pre-activations, of the shape of x.
    """

    def forward(h: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        z = h @ kernel
        return f(z), z

    def backward(state: tuple[jax.Array, jax.Array], layer: tuple[jax.Array, jax.Array]) -> Any:
        g, size = state
        kernel, z = layer
        g = jax.vjp(f, z)[1](g @ kernel.T)[0]
        factor = jnp.maximum(_rms(g), 1e-30)
        return (g / factor, size + jnp.log(factor)), size + jnp.log(factor)

    z = jax.lax.scan(forward, x, kernels)[1]
    start = (gradient / _rms(gradient), jnp.float32(0))
    sizes = jax.lax.scan(backward, start, (kernels[1:], z[:-1]), reverse=True)[1]
    unit = z[-1] / jnp.linalg.norm(z[-1], axis=1, keepdims=True)
    cosines = unit @ unit.T
    examples = len(x)
    similarity = (cosines.sum() - jnp.trace(cosines)) / (examples * (examples - 1))
    return Signals(jnp.sqrt(jnp.mean(z**2, axis=(1, 2))), jnp.append(sizes, 0.0), similarity)


def random_signals(
    f: Function, init: Initializer, depth: int, width: int, examples: int, seeds: Sequence[int]
) -> Signals:
    """`signals` of random networks on normal inputs, one network for each seed."""

    def one(seed: jax.Array) -> Signals:
        keys = jax.random.split(jax.random.key(seed), depth + 2)
        kernels = jax.lax.map(lambda key: init(key, (width, width), jnp.float32), keys[2:])
        x, gradient = (jax.random.normal(key, (examples, width)) for key in keys[:2])
        return signals(f, kernels, x, gradient)

    return jax.device_get(jax.jit(lambda many: jax.lax.map(one, many))(jnp.asarray(seeds, jnp.uint32)))


def _rms(a: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(a * a))


class Propagation(NamedTuple):
    """What theory says of wide random networks, by layer, for inputs of mean square 1 (Poole 2016, Schoenholz 2017).

    Attributes:
        forward: root of the variance q of the pre-activations: q ← gain² E f(√q z)² for standard normal z.
        backward: natural logarithm of the rms of the gradient at the pre-activations, relative to the last layer's: each
            layer multiplies the mean square by gain² E f'(√q z)².
    """

    forward: np.ndarray
    backward: np.ndarray


def propagation(f: Function, gain: float, depth: int) -> Propagation:
    """The theory of wide networks for weights of variance gain² / fan-in and no biases."""
    q, variances, factors = gain**2, [], []
    for _ in range(depth):
        value, slope = mean_squares(f, q)
        variances.append(q)
        factors.append(gain**2 * slope)
        q = gain**2 * value
    logs = 0.5 * np.log(factors[:-1])
    return Propagation(np.sqrt(variances), np.append(np.cumsum(logs[::-1])[::-1], 0.0))


class FirstGradients(NamedTuple):
    """Gradients of deep random networks, by the name of the network.

    Attributes:
        signals: signals and gradients of every network and seed.
        measured: log10 of the gradient at the first layer relative to the last, mean and interval over the seeds.
        theory: the same by `propagation`.
    """

    signals: dict[str, Signals]
    measured: dict[str, Interval]
    theory: dict[str, float]

    def text(self, name: str) -> str:
        """What was measured of a network, and the theory."""
        return f"{shown(self.measured[name], 4)}, formula {self.theory[name]:.2f}"


def first_gradients(
    networks: Mapping[str, tuple[Function, float]], depth: int, width: int, examples: int, seeds: Sequence[int]
) -> FirstGradients:
    """Gradients of random networks of normal weights; `networks` are activations and gains by name."""
    found = {
        name: random_signals(f, initializers.normal(gain), depth, width, examples, seeds)
        for name, (f, gain) in networks.items()
    }
    return FirstGradients(
        found,
        {name: interval(one.backward[:, 0] / math.log(10)) for name, one in found.items()},
        {name: float(propagation(f, gain, depth).backward[0]) / math.log(10) for name, (f, gain) in networks.items()},
    )


def mean_squares(f: Function, q: float) -> tuple[float, float]:
    """E f(√q z)² and E f'(√q z)² for standard normal z."""
    values, slopes = _values_and_slopes(f, jnp.asarray(math.sqrt(q) * _NODES, jnp.float32))
    return float(_WEIGHTS @ np.asarray(values, float) ** 2), float(_WEIGHTS @ np.asarray(slopes, float) ** 2)


@partial(jax.jit, static_argnums=0)
def _values_and_slopes(f: Function, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(f)(z), jax.vmap(jax.grad(f))(z)


_NODES = np.linspace(-10, 10, 8001) + 1e-9  # not on the kink of relu
_WEIGHTS = np.exp(-(_NODES**2) / 2) / np.exp(-(_NODES**2) / 2).sum()


def edge_gain(f: Function) -> float:
    """The gain with which gradients neither grow nor shrink once the variance has settled, gain² E f'(√q z)² = 1."""

    def factor(gain: float) -> float:
        q = gain**2
        for _ in range(200):
            q = gain**2 * mean_squares(f, q)[0]
        return gain**2 * mean_squares(f, q)[1]

    low, high = 0.1, 100.0
    for _ in range(30):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if factor(middle) > 1 else (middle, high)
    return math.sqrt(low * high)
