"""What is common to supervised tasks: a Flax module, its loss, one update, and its scores."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite import _losses
from jaxopt_lite._names import nearest
from jaxopt_lite.flax import Weights, assembled, initialise, outputs
from jaxopt_lite.training import _order
from jaxopt_lite.training._averaged import evaluated
from jaxopt_lite.training._trial import with_scalars

Array = jax.Array
_EVALUATED_AT_ONCE = 1024


class Run(NamedTuple):
    """Everything that changes during one supervised run.

    Attributes:
        weights: parameters and other state of the module.
        optimizer: state of the optimizer.
        order: of examples in memory; None where a step is given its batch, or all examples.
        seen: scores of the batches before they were learned, if they are computed.
    """

    weights: Weights
    optimizer: Any
    order: _order.Order | None = None
    seen: "Seen | None" = None


class Seen(NamedTuple):
    """Means of the scores of all batches so far."""

    batches: Array  # () int32
    means: dict[str, Array]  # () float32

    def after(self, scores: Mapping[str, Array]) -> "Seen":
        """The means with those of one more batch."""
        count = self.batches + 1
        weight = 1 / count.astype(jnp.float32)
        return Seen(count, {name: mean + (scores[name] - mean) * weight for name, mean in self.means.items()})


@contextmanager
def _input_named(x: Array) -> Iterator[None]:
    """Add the shape of the input to errors of the module, which may be due to it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        error.add_note(f"The module was called with x of shape {x.shape}, {x.dtype}.")
        raise


class Network(NamedTuple):
    """A module with its loss, trained with the optimizer of a trial.

    Attributes:
        build: a function of (trial, rngs) that returns a Flax module.
        cost: the loss of an example.
    """

    build: Callable[[Any, Any], Any]
    cost: _losses.Loss

    def init(self, trial: Any, x: jax.ShapeDtypeStruct, key: Array) -> Run:
        """A run before its first step; `x` has the shape of one example."""
        optimizer = _optimizer(trial)
        example = jnp.zeros((1, *x.shape), x.dtype)
        with _input_named(example):
            weights = initialise(self.build, trial, example, key)
        return Run(weights, optimizer.init(weights.params))

    def update(self, trial: Any, carry: Run, x: Array, y: Array, key: Array) -> tuple[Run, Array]:
        """The run after one step on a batch, and its mean loss before it; `key` is that of dropout."""

        def mean_loss(params: Any) -> tuple[Array, Any]:
            with _input_named(x):
                predicted, state = outputs(self.build, trial, carry.weights._replace(params=params), x, key, train=True)
            return jnp.mean(_losses.per_example(self.cost, predicted, y)), state

        (value, state), grads = jax.value_and_grad(mean_loss, has_aux=True)(carry.weights.params)
        updates, optimizer = _optimizer(trial).update(grads, carry.optimizer, carry.weights.params)
        params = optax.apply_updates(carry.weights.params, updates)
        return carry._replace(weights=carry.weights._replace(params=params, state=state), optimizer=optimizer), value

    @property
    def score_names(self) -> tuple[str, ...]:
        """The names of the scores of an example: `loss`, and `accuracy` of classifiers."""
        return ("loss",) if self.cost.right is None else ("loss", "accuracy")

    def scores(self, trial: Any, carry: Run, parts: Mapping[str, tuple[Array, Array]]) -> dict[str, Array]:
        """The mean scores of parts of the data, with the name of the part before that of the score."""
        weights = self._evaluated(trial, carry)
        return {
            f"{part}_{score}": value
            for part, (x, y) in parts.items()
            for score, value in self._means(trial, weights, x, y).items()
        }

    def batch_scores(self, trial: Any, carry: Run, x: Array, y: Array) -> dict[str, Array]:
        """The mean scores of one batch."""
        return {name: jnp.mean(v) for name, v in self._each(trial, self._evaluated(trial, carry), x, y).items()}

    def model(self, trial: Any, carry: Run) -> Any:
        """The trained module."""
        return assembled(self.build, with_scalars(trial), self._evaluated(trial, carry))

    def modes(self, parts: tuple[str, ...]) -> dict[str, Literal["min", "max"]]:
        """Whether a small or a large score of a part is good, by the name of the score."""
        modes: dict[str, Literal["min", "max"]] = {f"{part}_loss": "min" for part in parts}
        if self.cost.right is not None:
            modes |= {f"{part}_accuracy": "max" for part in parts}
        return modes

    def objective(self, part: str) -> str:
        """The name of the score of a part by which runs are ranked."""
        return f"{part}_{'loss' if self.cost.right is None else 'accuracy'}"

    def _evaluated(self, trial: Any, carry: Run) -> Weights:
        """The weights to evaluate; for optimizers that a sweep has merged the sweep selects them."""
        optimizer, params = _optimizer(trial), carry.weights.params
        merged = getattr(type(optimizer), "evaluated", None)
        averaged = merged(optimizer, carry.optimizer, params) if merged else evaluated(carry.optimizer, params)
        return carry.weights._replace(params=averaged)

    def _each(self, trial: Any, weights: Weights, x: Array, y: Array) -> dict[str, Array]:
        """The scores of each example."""
        with _input_named(x):
            predicted, _ = outputs(self.build, trial, weights, x, jax.random.key(0), train=False)
        values = {"loss": _losses.per_example(self.cost, predicted, y)}
        if self.cost.right is not None:
            values["accuracy"] = self.cost.right(predicted, y).astype(jnp.float32)
        return values

    def _means(self, trial: Any, weights: Weights, x: Array, y: Array) -> dict[str, Array]:
        """The mean scores of all rows, computed about a thousand rows at a time; padded rows have weight 0."""
        rows = len(x)
        parts = -(-rows // _EVALUATED_AT_ONCE)
        width = -(-rows // parts)
        chosen = jnp.minimum(jnp.arange(parts * width), rows - 1).reshape(parts, width)
        counts = (jnp.arange(parts * width) < rows).reshape(parts, width)

        def part(args: tuple[Array, Array]) -> dict[str, Array]:
            i, counted = args
            values = self._each(trial, weights, x[i], y[i])
            return {name: jnp.sum(jnp.where(counted, value, 0)) for name, value in values.items()}

        sums = part((chosen[0], counts[0])) if parts == 1 else jax.lax.map(part, (chosen, counts))
        return {name: jnp.sum(value) / rows for name, value in sums.items()}


def check_build(build: Any) -> None:
    """Check that `build` is a function of (trial, rngs).

    Raises:
        TypeError: it is not.
    """
    if not callable(build):
        raise TypeError(f"build must be a function of (trial, rngs), got {type(build).__name__}")
    try:
        inspect.signature(build).bind(None, None)
    except TypeError:
        raise TypeError(
            f"build must take two arguments, (trial, rngs), got a function of {inspect.signature(build)}"
        ) from None
    except ValueError:  # a function whose parameters Python does not know
        pass


def _optimizer(trial: Any) -> optax.GradientTransformationExtraArgs:
    try:
        found = trial["optimizer"]
    except (KeyError, TypeError, IndexError):
        similar = nearest("optimizer", map(str, trial)) if isinstance(trial, dict) else None
        hint = f"; rename its entry {similar!r}" if similar else ""
        given = f"the entries {', '.join(map(str, trial))}" if isinstance(trial, dict) else repr(trial)
        raise ValueError(
            f'a trial of a supervised task needs an entry "optimizer", as {{"optimizer": adam(1e-3)}}; it has '
            f"{given}{hint}"
        ) from None
    if not (hasattr(found, "init") and hasattr(found, "update")):
        hint = ", not an optimizer such as adam(1e-3), which has the functions init and update"
        hint = ": call it, as adam(1e-3)" if callable(found) else hint
        raise ValueError(f'the entry "optimizer" of a trial is {found!r}{hint}')
    return found
