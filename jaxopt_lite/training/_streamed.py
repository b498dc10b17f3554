"""Supervised learning with a Flax module on data that do not fit in memory, as a task."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite import _losses
from jaxopt_lite.training import _parts
from jaxopt_lite.training._network import Network, Run, Seen, check_build
from jaxopt_lite.training._record import observed, recorder
from jaxopt_lite.training._task import Task
from jaxopt_lite.training.streams._batches import Batches, InOrder, Shuffled
from jaxopt_lite.training.streams._source import Source
from jaxopt_lite.training.streams._stream import Stream

Array = jax.Array
Part = tuple[Any, Any]


def streamed(
    build: Callable[[Any, Any], Any],
    source: Any,
    loss: str | Callable[[Array, Array], Array] = "cross_entropy",
    batch_size: int = 64,
    *,
    validation: Part | None = None,
    test: Part | None = None,
    one_pass: bool = False,
    keys: tuple[str, str] = ("x", "y"),
    window_bytes: int = 1 << 25,
    name: str = "streamed",
    diagnose: bool = False,
) -> Task:
    """The task of training the module `build(trial, rngs)` on examples that are read from `source` while it trains.

    It trains as `supervised` does on the same data, step for step: the order of the examples is a function of seed and
    epoch, so the rows of any steps are known on the host. A thread reads them in windows of some steps while the
    program trains on the window before. In a sweep, runs of one seed in a chunk share each window.

    On a CPU, where `supervised` with the same data in memory fits, the losses, the final parameters and the scores are
    bitwise the same (of a batch smaller than the data), and so are those of a run that is interrupted and resumed.

    With `one_pass`, each example is used once, in the order of the source, as in online learning: the model is scored
    on each batch before it learns from it (prequential evaluation).

    Args:
        build: a function of a trial (any pytree with an entry `"optimizer"`) and `flax.nnx.Rngs` that returns an NNX or
            Linen module.
        source: the training examples: a pair of arrays `(x, y)`, as `np.load("x.npy", mmap_mode="r")` gives them, a
            dict of two arrays, or an object with `len(source)` whose `source[i]` is the pair `(x, y)` of example i, or
            a dict of the two. Indexing with an array of numbers, and a method `__getitems__` that takes a list of
            them, are used where the source has them. All examples need one shape.
        loss: as in `supervised`. Default: `"cross_entropy"`.
        batch_size: examples in a step, from 1 to the examples of the source. Default: 64.
        validation: arrays `(x, y)` in memory whose score selects; needs `test`. Default: `test` selects.
        test: arrays `(x, y)` in memory that score finished runs. Needed without `one_pass`. Default: None.
        one_pass: whether the examples are used once, in the order of the source. Then a run has at most
            `len(source) // batch_size` steps. Default: False, a new random order for each epoch.
        keys: the entries of x and y where examples are dicts. Default: `("x", "y")`.
        window_bytes: about the size of a window; up to four are in memory for each chunk that runs. A sweep is resumed
            with the size that it began with. Default: 32 MiB.
        name: the task's name in tables and stores. Default: `"streamed"`.
        diagnose: as in `supervised`. Default: False.

    Returns:
        A `Task`. Its step gives `loss`, and its scores are those of `supervised` without `train_loss` and
        `train_accuracy`. With `one_pass` its step gives `loss` and, for the two cross entropies, `accuracy` of the
        batch before the update, its scores have their means `prequential_loss` and `prequential_accuracy`, and these
        are the objective where there is no `test`.

    Raises:
        ValueError: the source has fewer examples than a batch, entries that are not numbers, examples of different
            shapes, or labels that the loss cannot have (of the examples that are read first; of the others
            a `StreamError` where they are read); no part to score runs with; or an argument out of range.
        TypeError: the source has no length or index, or gives something else than pairs or dicts; or `build` or `loss`
            is not what `supervised` takes.

    Example:
        >>> import numpy as np
        >>> from flax import nnx
        >>> from jaxopt_lite import optimizers, training
        >>> x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
        >>> y = (x.sum(axis=1) > 0).astype("int32")
        >>> build = lambda trial, rngs: nnx.Linear(3, 2, rngs=rngs)
        >>> task = training.streamed(build, (x[:150], y[:150]), batch_size=50, test=(x[150:], y[150:]))
        >>> trial = {"optimizer": optimizers.adam(0.1)}
        >>> trained = training.run(task, trial, steps=100)
        >>> in_memory = training.supervised(build, ((x[:150], y[:150]), (x[150:], y[150:])), batch_size=50)
        >>> trained.scores["test_loss"] == training.run(in_memory, trial, steps=100).scores["test_loss"]
        True
        >>> online = training.streamed(build, (x, y), batch_size=5, one_pass=True)
        >>> training.run(online, trial, steps=40).scores["prequential_accuracy"] > 0.8
        True
    """
    check_build(build)
    cost = _losses.named(loss)
    size, limit = _whole("batch_size", batch_size), _whole("window_bytes", window_bytes)
    held_out = _held_out(validation, test, one_pass)
    examples = _examples(source, keys, size, one_pass, diagnose)
    data = _parts.checked((examples.read(observed(examples.examples)), *held_out), fewest=1)
    labels = _parts.labels(data) | ({} if examples.labels is None else {"training": examples.labels})
    cost = _losses.fitted(cost, loss, labels)
    network, names = Network(build, cost), _parts.names(data)[1:]

    def init(trial: Any, key: Array) -> Run:
        means = {score: jnp.float32(0) for score in network.score_names}
        seen = Seen(jnp.int32(0), means) if one_pass else None
        return network.init(trial, examples.shapes[0], key)._replace(seen=seen)

    def step(trial: Any, carry: Run, batch: Any, key: Array) -> tuple[Run, dict[str, Array]]:
        x, y = batch
        _, module_key = jax.random.split(key)  # the first half of the key decides the order, as in `supervised`
        after, loss = network.update(trial, carry, x, y, module_key)
        if carry.seen is None:
            return after, {"loss": loss}
        before = network.batch_scores(trial, carry, x, y)
        return after._replace(seen=carry.seen.after(before)), before

    def check(y: np.ndarray) -> None:
        _losses.fitted(cost, loss, {"training": y})

    def part(index: int, data: Any) -> dict[str, tuple[Array, Array]]:
        return {names[index]: data[1 + index]} if index < len(names) else {}

    def evaluate(trial: Any, carry: Run, data: Any) -> dict[str, Array]:
        means = carry.seen.means if carry.seen is not None else {}
        seen = {f"prequential_{score}": mean for score, mean in means.items()}
        return seen | network.scores(trial, carry, part(0, data))

    def tested(trial: Any, carry: Run, data: Any) -> dict[str, Array]:
        return network.scores(trial, carry, part(1, data))

    scored = (*names, "prequential") if one_pass else names
    objective, modes = network.objective(scored[0]), network.modes(scored)
    shapes = tuple(jax.ShapeDtypeStruct((size, *shape.shape), shape.dtype) for shape in examples.shapes)
    stream = Stream(
        Batches(examples, InOrder(size) if one_pass else Shuffled(examples.examples, size), size, check),
        shapes,
        identity=f"{examples.examples} examples, {'in order' if one_pass else 'shuffled'}",
        seeded=not one_pass,
        steps=examples.examples // size if one_pass else None,
        window_bytes=limit,
    )
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
        test=tested if names[1:] else None,
        model=network.model,
        record=recorder(build, cost),
        diagnose=diagnose,
        stream=stream,
    )


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def _examples(source: Any, keys: Any, batch_size: int, one_pass: bool, diagnose: bool) -> Source:
    """The training examples.

    Raises:
        ValueError: `keys` are not two names, or there are fewer examples than a batch or the diagnosis needs.
    """
    if not (isinstance(keys, tuple | list) and len(keys) == 2):
        raise ValueError(f'keys takes the names of the entries of x and y, as ("image", "label"); got {keys!r}')
    found = Source(source, (keys[0], keys[1]), shuffled=not one_pass)
    if batch_size > found.examples:
        raise ValueError(
            f"source has {found.examples} examples, fewer than the batch_size of {batch_size}: give a smaller "
            "batch_size"
        )
    if diagnose and found.examples < 2:
        raise ValueError("diagnose=True needs at least 2 training examples: layers are judged by how inputs differ")
    return found


def _held_out(validation: Part | None, test: Part | None, one_pass: bool) -> list[Part]:
    """The parts of the data that runs are scored with."""
    for name, part in (("validation", validation), ("test", test)):
        if part is not None and not (isinstance(part, tuple | list) and len(part) == 2):
            raise ValueError(f"{name} must be a pair of arrays (x, y), got a {type(part).__name__}")
    if validation is not None and test is None:
        raise ValueError("validation needs test, which scores finished runs; give one part alone as test")
    if test is None and not one_pass:
        raise ValueError(
            "runs need data to be scored with: give test=(x_test, y_test), or one_pass=True, which scores each batch "
            "before it is learned"
        )
    return [part for part in (validation, test) if part is not None]
