"""The same trainings by hand: the loops that people write instead of a sweep."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen
from flax.training.train_state import TrainState

from jaxopt_lite.training import Task
from jaxopt_lite.training import _order as order
from jaxopt_lite.training._run import keys, start

Array = jax.Array

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
}
OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "adagrad": optax.adagrad,
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
}


class Training(NamedTuple):
    """One training by name and number, with what it starts from: layers (kernel, bias), and the rows of each step."""

    activation: str
    optimizer: str
    learning_rate: float
    layers: list[tuple[np.ndarray, np.ndarray]]
    rows: np.ndarray  # (steps, batch)


class MLP(linen.Module):
    """The digits network as a Linen module."""

    widths: tuple[int, ...]
    activation: Callable[[Array], Array]

    @linen.compact
    def __call__(self, x: Array) -> Array:
        for width in self.widths[:-1]:
            x = self.activation(linen.Dense(width)(x))
        return linen.Dense(self.widths[-1])(x)


def starting_points(task: Task, trial: Any, seed: int, steps: int, batch_size: int) -> tuple[Any, np.ndarray]:
    """The weights a sweep's run with this seed starts from, as (kernel, bias) of each layer, and the rows it visits."""
    carry = jax.jit(lambda: start(task, trial, seed).weights.params)()
    flat = jax.tree.map(np.asarray, [(layer["kernel"][...], layer["bias"][...]) for _, layer in _layers(carry)])
    x = task.data[0][0]

    @jax.jit
    def rows() -> Array:
        def step(state: order.Order, i: Array) -> tuple[order.Order, Array]:
            order_key, _ = jax.random.split(jax.random.fold_in(keys(seed)[1], i))
            batch, state = order.next_batch(state, order_key, batch_size)
            return state, batch

        return jax.lax.scan(step, order.unstarted(len(x), batch_size), jnp.arange(steps))[1]

    return flat, np.asarray(rows())


def _layers(params: Any) -> Iterator[tuple[Any, Any]]:
    layers = params["layers"]
    yield from sorted(layers.items(), key=lambda item: int(item[0]))


def named_layers(training: Training) -> dict[str, dict[str, np.ndarray]]:
    """The weights that a training starts from, under the names that Linen gives the layers."""
    return {f"Dense_{i}": {"kernel": kernel, "bias": bias} for i, (kernel, bias) in enumerate(training.layers)}


def rebuilt(data: Any, trainings: list[Training]) -> Iterator[float]:
    """A training function that jits its step whenever it is called; the learning rate is a constant in it."""
    for training in trainings:
        model, tx = _model(training), OPTIMIZERS[training.optimizer](training.learning_rate)
        yield _train(_step(), model, tx, training, data, model.init)  # not jitted, as in Flax's own guides


class Cached:
    """One jitted step per activation and optimizer; `inject_hyperparams` makes the learning rate part of the state."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], tuple[Any, Any, Any]] = {}

    def __call__(self, data: Any, trainings: list[Training]) -> Iterator[float]:
        """Validation accuracies of the trainings."""
        for training in trainings:
            kind = training.activation, training.optimizer
            if kind not in self._kinds:
                tx = optax.inject_hyperparams(OPTIMIZERS[training.optimizer])(learning_rate=0.0)
                self._kinds[kind] = _step(), _model(training), tx
            yield _train(*self._kinds[kind], training, data, functools.partial(_init, self._kinds[kind][1]))


def _model(training: Training) -> MLP:
    return MLP(tuple(len(b) for _, b in training.layers), ACTIVATIONS[training.activation])


def _step() -> Callable[[TrainState, Array, Array], tuple[TrainState, Array]]:
    @jax.jit
    def step(state: TrainState, x: Array, y: Array) -> tuple[TrainState, Array]:
        def loss(params: Any) -> Array:
            logits = state.apply_fn({"params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        value, grads = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=grads), value

    return step


def _train(step: Any, model: MLP, tx: Any, training: Training, data: Any, init: Any) -> float:
    (x, y), (x_val, y_val), _ = data
    params = init(jax.random.key(0), x[:1])["params"]
    params = jax.tree.map(lambda _, start: jnp.asarray(start), params, named_layers(training))
    state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)
    if hasattr(state.opt_state, "hyperparams"):
        state.opt_state.hyperparams["learning_rate"] = jnp.float32(training.learning_rate)
    losses = []
    for rows in training.rows:
        state, loss = step(state, x[rows], y[rows])
        losses.append(loss)
    np.mean(jax.device_get(losses))
    return float(_accuracy(model, state.params, x_val, y_val))


@functools.partial(jax.jit, static_argnums=0)
def _init(model: MLP, key: Array, x: Array) -> Any:
    return model.init(key, x)


@functools.partial(jax.jit, static_argnums=0)
def _accuracy(model: MLP, params: Any, x: Array, y: Array) -> Array:
    logits: Any = model.apply({"params": params}, x)
    return jnp.mean(jnp.argmax(logits, axis=-1) == y)
