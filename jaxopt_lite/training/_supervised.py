"""Supervised learning with a Flax module, as a task."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite import _losses
from jaxopt_lite._names import nearest
from jaxopt_lite.flax import Weights, assembled, initialise, outputs
from jaxopt_lite.training import _order, _parts
from jaxopt_lite.training._averaged import evaluated
from jaxopt_lite.training._record import recorder
from jaxopt_lite.training._task import Task
from jaxopt_lite.training._trial import with_scalars

Array = jax.Array
_EVALUATED_AT_ONCE = 1024


class Run(NamedTuple):
    """Everything that changes during one supervised run."""

    weights: Weights
    optimizer: Any
    order: _order.Order | None


def supervised(
    build: Callable[[Any, Any], Any],
    data: Any,
    loss: str | Callable[[Array, Array], Array] = "cross_entropy",
    batch_size: int | Literal["full"] = 64,
    *,
    name: str = "supervised",
    diagnose: bool = False,
) -> Task:
    """The task of training the module `build(trial, rngs)` on `data` with the optimizer `trial["optimizer"]`.

    One step minimises mean(loss(module(x), y)) over one batch. Each epoch visits the examples in a new random order,
    which depends on the run's seed. If the optimizer keeps an average of the parameters (`optimizers.average`), the
    scores are those of the averaged parameters.

    Args:
        build: a function of a trial (any pytree with an entry `"optimizer"`) and `flax.nnx.Rngs` that returns an NNX or
            Linen module. Settings reach the module as arguments of its constructor: `MLP(act=trial["activation"])`.
        data: `((x, y), (x_test, y_test))` or `((x, y), (x_val, y_val), (x_test, y_test))`, arrays with the examples
            along their first axis. With three parts the validation part selects, and the test part scores finished
            runs only; with two the test part does both, which makes the score of a selected setting optimistic.
        loss: `"cross_entropy"` (integer labels), `"binary_cross_entropy"` (labels 0 and 1), `"mse"`, or a function of
            (outputs, y) that returns one number per example. Default: `"cross_entropy"`.
        batch_size: examples in a step, from 1 (stochastic descent) to the training examples, or `"full"` for all of
            them. Default: 64.
        name: the task's name in tables and stores. Default: `"supervised"`.
        diagnose: whether the state of the layers is recorded at a few steps of each run, on 64 training examples: at
            0, 32, 1024 and further powers of 32, and where the run is scored. Then `Results.reasons` says why settings
            lost, and `Trained.diagnoses` what became of the layers. The training is bitwise the same. Default: False.

    Returns:
        A `Task`. Its step gives `loss`. Its scores are `train_loss`, `validation_loss` (of three parts) and `test_loss`
        and, for the two cross entropies, the same with `accuracy` (from 0 to 1). With three parts the objective is
        `validation_accuracy` if there is one, else `validation_loss`, and the test scores come from `Task.test`. With
        two it is `test_accuracy`, else `test_loss`, and all scores come from `Task.evaluate`.

    Raises:
        ValueError: data of unequal length or of another form, labels that the loss cannot have, a batch size out of
            range, an unknown loss, or `diagnose` with a single training example.
        TypeError: `build` is not a function of two arguments, or `loss` is neither a name nor a function.

    Example:
        >>> import numpy as np
        >>> from flax import nnx
        >>> from jaxopt_lite import optimizers, training
        >>> x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
        >>> y = (x.sum(axis=1) > 0).astype("int32")
        >>> build = lambda trial, rngs: nnx.Linear(3, 2, rngs=rngs)
        >>> data = (x[:100], y[:100]), (x[100:150], y[100:150]), (x[150:], y[150:])
        >>> task = training.supervised(build, data, batch_size=50)
        >>> task.objective
        'validation_accuracy'
        >>> trained = training.run(task, {"optimizer": optimizers.adam(0.1)}, steps=100)
        >>> trained.scores["test_accuracy"] > 0.9
        True
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
    cost = _losses.named(loss)
    data = _parts.checked(data)
    cost = _losses.fitted(cost, loss, _parts.labels(data))
    examples = len(data[0][0])
    full = batch_size == "full" or (batch_size == examples and batch_size is not True)
    number = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if not full and not (number and 1 <= int(batch_size) <= examples):
        raise ValueError(
            f'batch_size must be "full" or a number from 1 to the {examples} training rows, got {batch_size!r}'
        )
    if diagnose and examples < 2:
        raise ValueError("diagnose=True needs at least 2 training examples: layers are judged by how inputs differ")
    size = examples if full else int(batch_size)

    def init(trial: Any, key: Array) -> Run:
        optimizer = _optimizer(trial)
        x = data[0][0]
        shape = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
        weights = initialise(build, trial, jnp.zeros(shape.shape, shape.dtype), key)
        return Run(weights, optimizer.init(weights.params), None if full else _order.unstarted(examples, size))

    def step(trial: Any, carry: Run, data: Any, key: Array) -> tuple[Run, dict[str, Array]]:
        x, y = data[0]
        order_key, module_key = jax.random.split(key)
        order = carry.order
        if order is not None:
            rows, order = _order.next_batch(order, order_key, size)
            x, y = x[rows], y[rows]

        def mean_loss(params: Any) -> tuple[Array, Any]:
            predicted, state = outputs(build, trial, carry.weights._replace(params=params), x, module_key, train=True)
            return jnp.mean(_losses.per_example(cost, predicted, y)), state

        (value, state), grads = jax.value_and_grad(mean_loss, has_aux=True)(carry.weights.params)
        updates, optimizer = _optimizer(trial).update(grads, carry.optimizer, carry.weights.params)
        params = optax.apply_updates(carry.weights.params, updates)
        return Run(carry.weights._replace(params=params, state=state), optimizer, order), {"loss": value}

    names = _parts.names(data)
    selecting = names[:2]  # of two parts the test part selects

    def scores(parts: tuple[str, ...], trial: Any, carry: Run, data: Any) -> dict[str, Array]:
        weights, by_name = _evaluated(trial, carry), dict(zip(names, data, strict=True))
        return {
            f"{part}_{score}": value
            for part in parts
            for score, value in _means(build, cost, trial, weights, *by_name[part]).items()
        }

    def evaluate(trial: Any, carry: Run, data: Any) -> dict[str, Array]:
        return scores(selecting, trial, carry, data)

    def test(trial: Any, carry: Run, data: Any) -> dict[str, Array]:
        return scores(names[2:], trial, carry, data)

    def model(trial: Any, carry: Run) -> Any:
        return assembled(build, with_scalars(trial), _evaluated(trial, carry))

    modes: dict[str, Literal["min", "max"]] = {f"{part}_loss": "min" for part in names}
    if cost.right is not None:
        modes |= {f"{part}_accuracy": "max" for part in names}
    objective = f"{selecting[-1]}_{'loss' if cost.right is None else 'accuracy'}"
    return Task(
        init,
        step,
        evaluate,
        data,
        name,
        objective,
        modes[objective],
        modes,
        merge=True,
        test=test if names[2:] else None,
        model=model,
        record=recorder(build, cost),
        diagnose=diagnose,
    )


def _evaluated(trial: Any, carry: Run) -> Weights:
    """The weights to evaluate; for optimizers that a sweep has merged the sweep selects them."""
    optimizer, params = _optimizer(trial), carry.weights.params
    merged = getattr(type(optimizer), "evaluated", None)
    averaged = merged(optimizer, carry.optimizer, params) if merged else evaluated(carry.optimizer, params)
    return carry.weights._replace(params=averaged)


def _means(build: Any, cost: _losses.Loss, trial: Any, weights: Weights, x: Array, y: Array) -> dict[str, Array]:
    """Mean loss and accuracy over all rows, computed about a thousand rows at a time; padded rows have weight 0."""
    rows = len(x)
    parts = -(-rows // _EVALUATED_AT_ONCE)
    width = -(-rows // parts)
    chosen = jnp.minimum(jnp.arange(parts * width), rows - 1).reshape(parts, width)
    counts = (jnp.arange(parts * width) < rows).reshape(parts, width)

    def part(args: tuple[Array, Array]) -> dict[str, Array]:
        i, counted = args
        predicted, _ = outputs(build, trial, weights, x[i], jax.random.key(0), train=False)
        values = {"loss": _losses.per_example(cost, predicted, y[i])}
        if cost.right is not None:
            values["accuracy"] = cost.right(predicted, y[i]).astype(jnp.float32)
        return {name: jnp.sum(jnp.where(counted, value, 0)) for name, value in values.items()}

    sums = part((chosen[0], counts[0])) if parts == 1 else jax.lax.map(part, (chosen, counts))
    return {name: jnp.sum(value) / rows for name, value in sums.items()}


def _optimizer(trial: Any) -> optax.GradientTransformationExtraArgs:
    try:
        found = trial["optimizer"]
    except (KeyError, TypeError, IndexError):
        similar = nearest("optimizer", map(str, trial)) if isinstance(trial, dict) else None
        hint = f"; rename its entry {similar!r}" if similar else ""
        raise ValueError(
            'a trial is what build gets; a trial of a supervised task is a dict with an entry "optimizer", '
            f"got {trial!r}{hint}"
        ) from None
    if not hasattr(found, "update"):
        hint = ": call it, as adam(1e-3)" if callable(found) else ", not an optimizer such as adam(1e-3)"
        raise ValueError(f'the entry "optimizer" of a trial is {found!r}{hint}')
    return found
