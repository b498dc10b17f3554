"""Networks of convolutions, recurrence and attention, with data made from formulas and from a text in Python."""

import codecs
import contextlib
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

from jaxopt_lite import optimizers, training
from jaxopt_lite.training import _order as order
from jaxopt_lite.training._run import keys, start

Array = jax.Array
LENGTH, UNITS, HEADS = 32, 64, 4


class CNN(nnx.Module):
    """Two convolutions, each with relu and a pool of 2 × 2 pixels, then two dense layers, on 28 × 28 images."""

    pool = staticmethod(nnx.max_pool)

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(1, 16, (3, 3), rngs=rngs)
        self.second = nnx.Conv(16, 32, (3, 3), rngs=rngs)
        self.inner = nnx.Linear(7 * 7 * 32, UNITS, rngs=rngs)
        self.outer = nnx.Linear(UNITS, 10, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        for layer in (self.first, self.second):
            x = self.pool(nnx.relu(layer(x)), (2, 2), (2, 2))
        return self.outer(nnx.relu(self.inner(x.reshape(len(x), -1))))


class MeanCNN(CNN):
    """The same with means instead of maxima."""

    pool = staticmethod(nnx.avg_pool)


class GRU(linen.Module):
    """A gated recurrent unit that predicts the next character at every place."""

    characters: int

    @linen.compact
    def __call__(self, x: Array) -> Array:
        outputs: Any = linen.RNN(linen.GRUCell(UNITS))(linen.Embed(self.characters, UNITS)(x))
        return linen.Dense(self.characters)(outputs)


class Transformer(linen.Module):
    """Two layers of causal attention that predict the next character at every place."""

    characters: int

    @linen.compact
    def __call__(self, x: Any) -> Any:
        mask = linen.make_causal_mask(x)
        places = self.param("places", linen.initializers.normal(0.02), (LENGTH, UNITS))
        x = linen.Embed(self.characters, UNITS)(x) + places[None]
        for _ in range(2):
            attention: Any = linen.MultiHeadDotProductAttention(HEADS)
            x += attention(linen.LayerNorm()(x), mask=mask)
            x += linen.Dense(UNITS)(linen.gelu(linen.Dense(4 * UNITS)(linen.LayerNorm()(x))))
        return linen.Dense(self.characters)(linen.LayerNorm()(x))


class Network(NamedTuple):
    """A network to train.

    Attributes:
        title: what it is, for the page.
        build: makes the module from `nnx.Rngs`.
        data: `((x, y), (x_test, y_test))`.
        batch: examples in a step.
    """

    title: str
    build: Callable[[nnx.Rngs], Any]
    data: Any
    batch: int


def network(name: str) -> Network:
    """One of `NETWORKS`."""
    if name in ("cnn", "cnn-mean"):
        build, pool = (CNN, "maximum") if name == "cnn" else (MeanCNN, "mean")
        layers = f"Conv 16, Conv 32 (3 × 3, each with the {pool} of 2 × 2 pixels), Dense 64, Dense 10"
        return Network(f"CNN on 28 × 28 images: {layers}; batch 64", build, _images(), 64)
    data, characters = _text()
    if name == "gru":
        title = f"Linen GRU of {UNITS} units on {LENGTH} characters; batch 32"
        return Network(title, lambda _: GRU(characters), data, 32)
    title = f"Linen transformer of 2 layers, {UNITS} wide, {HEADS} heads, on {LENGTH} characters; batch 32"
    return Network(title, lambda _: Transformer(characters), data, 32)


NETWORKS = ("cnn", "cnn-mean", "gru", "transformer")


def cost(outputs: Array, y: Array) -> Array:
    """Cross entropy of each example, a mean over its places."""
    found = optax.softmax_cross_entropy_with_integer_labels(outputs, y)
    return found.reshape(len(found), -1).mean(1)


def task_of(one: Network, name: str) -> training.Task:
    """Its training as a task of the engine."""
    return training.supervised(lambda _, rngs: one.build(rngs), one.data, cost, one.batch, name=name)


class Start(NamedTuple):
    """What the loops start from: the weights of the engine's run of seed 0 as leaves, and the rows of each step."""

    weights: list[np.ndarray]
    rows: np.ndarray  # (steps, batch)


def starting_point(one: Network, task: training.Task, steps: int) -> Start:
    """The weights and rows of the engine's run of seed 0."""
    weights = jax.jit(lambda: start(task, {"optimizer": optimizers.sgd(0.1)}, 0).weights.params)()
    (x, _), _ = one.data

    @jax.jit
    def rows() -> Array:
        def step(state: order.Order, i: Array) -> tuple[order.Order, Array]:
            order_key, _ = jax.random.split(jax.random.fold_in(keys(0)[1], i))
            batch, state = order.next_batch(state, order_key, one.batch)
            return state, batch

        return jax.lax.scan(step, order.unstarted(len(x), one.batch), jnp.arange(steps))[1]

    return Start([np.asarray(w) for w in jax.tree.leaves(weights)], np.asarray(rows()))


def _images() -> Any:
    """Rings and stripes of ten frequencies, with noise: 1,024 images for training and 256 for tests."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 1280).astype(np.int32)
    rows, columns = np.mgrid[:28, :28] / 27 - 0.5
    shift = rng.uniform(-0.3, 0.3, (2, 1280, 1, 1))
    distance = np.hypot(rows + shift[0], columns + shift[1])
    angle = np.where((y % 2 == 0)[:, None, None], distance, rows + shift[0])
    x = np.sin(4 * (y[:, None, None] + 2) * angle) + 0.5 * rng.normal(size=(1280, 28, 28))
    x = x[..., None].astype(np.float32)
    return (x[:1024], y[:1024]), (x[1024:], y[1024:])


def _text() -> tuple[Any, int]:
    """Stretches of the Zen of Python and the characters that follow each, and the number of different characters."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    text = codecs.decode(this.s, "rot13")
    letters = {letter: i for i, letter in enumerate(sorted(set(text)))}
    codes = np.array([letters[letter] for letter in text], np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(codes, LENGTH + 1)
    x, y = np.array(windows[:, :-1]), np.array(windows[:, 1:])
    return ((x[:640], y[:640]), (x[-128:], y[-128:])), len(letters)
