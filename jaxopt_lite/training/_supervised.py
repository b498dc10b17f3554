"""Supervised learning with a Flax module on data in memory, as a task."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

from jaxopt_lite import _losses
from jaxopt_lite.training import _order, _parts
from jaxopt_lite.training._network import Network, Run, check_build
from jaxopt_lite.training._record import recorder
from jaxopt_lite.training._task import Task

Array = jax.Array


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
    check_build(build)
    cost = _losses.named(loss)
    data = _parts.checked(data)
    cost = _losses.fitted(cost, loss, _parts.labels(data))
    x = data[0][0]
    examples, shape = len(x), jax.ShapeDtypeStruct(x.shape[1:], x.dtype)
    full = batch_size == "full" or (batch_size == examples and batch_size is not True)
    number = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if not full and not (number and 1 <= int(batch_size) <= examples):
        raise ValueError(
            f'batch_size must be "full" or a number from 1 to the {examples} training rows, got {batch_size!r}'
        )
    if diagnose and examples < 2:
        raise ValueError("diagnose=True needs at least 2 training examples: layers are judged by how inputs differ")
    size = examples if full else int(batch_size)
    network, names = Network(build, cost), _parts.names(data)
    selecting = names[:2]  # of two parts the test part selects

    def init(trial: Any, key: Array) -> Run:
        return network.init(trial, shape, key)._replace(order=None if full else _order.unstarted(examples, size))

    def step(trial: Any, carry: Run, data: Any, key: Array) -> tuple[Run, dict[str, Array]]:
        x, y = data[0]
        order_key, module_key = jax.random.split(key)
        if carry.order is not None:
            rows, order = _order.next_batch(carry.order, order_key, size)
            x, y, carry = x[rows], y[rows], carry._replace(order=order)
        carry, loss = network.update(trial, carry, x, y, module_key)
        return carry, {"loss": loss}

    def parts(some: tuple[str, ...], data: Any) -> dict[str, tuple[Array, Array]]:
        return {name: part for name, part in zip(names, data, strict=True) if name in some}

    def evaluate(trial: Any, carry: Run, data: Any) -> dict[str, Array]:
        return network.scores(trial, carry, parts(selecting, data))

    def test(trial: Any, carry: Run, data: Any) -> dict[str, Array]:
        return network.scores(trial, carry, parts(names[2:], data))

    objective, modes = network.objective(selecting[-1]), network.modes(names)
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
        model=network.model,
        record=recorder(build, cost),
        diagnose=diagnose,
    )
