"""Training on examples that are read while it runs: the same bits as in memory, from any kind of source."""

import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lite import activations, optimizers, training
from jaxopt_lite.training.streams._batches import Shuffled
from jaxopt_lite.training.streams._source import Source
from jaxopt_lite.training.streams._stream import Feed
from tests.sweeps import small
from tests.training.test_supervised import BUILDS

TRAIN, TEST = small.data()
TRIAL = {"activation": activations.tanh, "optimizer": optimizers.adam(0.01)}


def net(trial: Any, rngs: Any) -> Any:
    return small.Net(trial["activation"], rngs)


def streamed(source: Any = TRAIN, **arguments: Any) -> training.Task:
    return training.streamed(net, source, **{"batch_size": 8, "test": TEST, "window_bytes": 2000} | arguments)


def bits(trained: training.Trained) -> Any:
    arrays = jax.tree.leaves((trained.carry.weights, trained.carry.optimizer))
    keyed = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in arrays]
    return [np.asarray(x).tobytes() for x in keyed], trained.curve, trained.scores


def test_it_trains_as_in_memory_bit_for_bit(optimised: None) -> None:
    """With dropout and batch normalisation, over several windows and epochs; 43 examples leave 3 out in each."""
    build = BUILDS["nnx"]
    (x, y), (x_test, y_test) = small.data(63)
    parts = {"validation": (x_test[:5], y_test[:5]), "test": (x_test[5:], y_test[5:])}
    memory = training.supervised(build, ((x[:43], y[:43]), *parts.values()), batch_size=8)
    stream = training.streamed(build, (x[:43], y[:43]), batch_size=8, window_bytes=2000, **parts)
    assert stream.objective == memory.objective == "validation_accuracy"
    expected, found = (training.run(task, TRIAL, steps=70, seed=3) for task in (memory, stream))
    scores = {name: score for name, score in expected.scores.items() if not name.startswith("train_")}
    assert bits(found) == bits(expected._replace(scores=scores))


def test_rows_are_those_of_the_order_in_memory() -> None:
    from jaxopt_lite.training import _order, _run

    examples, size, steps_key = 5000, 64, _run.keys(7)[1]

    def step(order: Any, i: Any) -> Any:
        key, _ = jax.random.split(jax.random.fold_in(steps_key, i))
        batch, order = _order.next_batch(order, key, size)
        return order, batch

    _, expected = jax.lax.scan(step, _order.unstarted(examples, size), jnp.arange(160))  # epoch 2 begins at 156
    rows = Shuffled(examples, size)
    np.testing.assert_array_equal(rows(7, 0, 160), np.ravel(expected))
    np.testing.assert_array_equal(rows(7, 77, 79), np.ravel(expected[77:79]))


def test_a_window_has_the_batches_of_each_seed() -> None:
    task = streamed()
    feed = Feed(task.stream, width=3)
    for first, last, window in feed.windows(np.array([5, 2, 5]), 3, 40):
        assert jax.tree.map(lambda a: (a.shape, a.dtype), window) == jax.tree.map(
            lambda a: (a.shape, a.dtype), feed.shapes
        )
        for run, seed in enumerate((5, 2, 5)):
            x, y = task.stream.batches(seed, first, last)
            for i in range(first, last):
                found = window.of(run).at(i)
                np.testing.assert_array_equal(found[0], x[i - first])
                np.testing.assert_array_equal(found[1], y[i - first])


class Indexed:
    """Examples by one index."""

    def __init__(self, pair: Any = TRAIN) -> None:
        self.x, self.y = pair

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        assert type(index) is int
        return self.x[index], int(self.y[index])


class AsDicts(Indexed):
    """As grain's data sources and the data sets of Hugging Face."""

    def __getitem__(self, index: int) -> Any:
        return {"image": self.x[index], "label": self.y[index], "id": str(index)}

    def __getitems__(self, indices: list[int]) -> Any:
        return [self[i] for i in indices]


class ByArray(Indexed):
    """Examples by one index or an array of them."""

    def __getitem__(self, index: Any) -> Any:
        return self.x[index], self.y[index]


class Columnar:
    """An array on disk that takes increasing indices alone, as h5py's."""

    def __init__(self, array: Any) -> None:
        self.shape, self.array = array.shape, array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> Any:
        assert (np.diff(rows) > 0).all()
        return self.array[rows]


def mapped(folder: Path) -> Any:
    for name, array in zip("xy", TRAIN, strict=True):
        np.save(folder / f"{name}.npy", array)
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy")


def records(folder: Path) -> Any:
    rows = np.zeros(len(TRAIN[0]), [("x", np.float32, 4), ("y", np.int32)])
    rows["x"], rows["y"] = TRAIN
    np.save(folder / "rows.npy", rows)
    return np.load(folder / "rows.npy", mmap_mode="r")


SOURCES = {
    "one index": lambda folder: Indexed(),
    "dicts": lambda folder: AsDicts(),
    "array of indices": lambda folder: ByArray(),
    "increasing indices": lambda folder: tuple(map(Columnar, TRAIN)),
    "dict of arrays": lambda folder: dict(zip(("image", "label"), TRAIN, strict=True)),
    "list of examples": lambda folder: list(zip(*TRAIN, strict=True)),
    "memory-mapped": mapped,
    "memory-mapped records": records,
    "another byte order": lambda folder: (TRAIN[0].astype(">f4"), TRAIN[1].astype(">i4")),
    "64 bits": lambda folder: (TRAIN[0].astype(np.float64), TRAIN[1].astype(np.int64)),
}
KEYS = {"dicts": ("image", "label"), "dict of arrays": ("image", "label")}


@pytest.mark.parametrize("kind", SOURCES)
def test_sources_give_the_same_examples_here_and_in_another_process(kind: str, tmp_path: Path) -> None:
    source = Source(SOURCES[kind](tmp_path), KEYS.get(kind, ("x", "y")), shuffled=True)
    assert source.examples == 40
    assert [(s.shape, s.dtype) for s in source.shapes] == [((4,), np.float32), ((), np.int32)]
    rows = np.array([7, 3, 39, 3, 0])
    for one in (source, pickle.loads(pickle.dumps(source))):
        for found, expected in zip(one.read(rows), TRAIN, strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected[rows])


def test_the_parquet_source_of_the_documentation(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "streams.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"np": np}
    exec(page.partition("```py\n")[2].partition("```")[0], names)
    table = arrow.table({"x": list(TRAIN[0]), "y": TRAIN[1]})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=7)
    source = Source(names["Parquet"](tmp_path / "rows.parquet"), ("x", "y"), shuffled=False)
    for found, expected in zip(source.read(np.arange(40)), TRAIN, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_memory_mapped_source_is_sent_as_the_name_of_its_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(40_000, dtype=np.float32).reshape(10_000, 4))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")[100:]
    source = Source((x, np.zeros(9900, np.int32)), ("x", "y"), shuffled=True)
    sent = pickle.dumps(source)
    assert len(sent) < 50_000  # y has 39,600 bytes, x 158,400
    np.testing.assert_array_equal(pickle.loads(sent).read(np.array([0, 9899]))[0], x[[0, 9899]])


def test_what_was_changed_of_a_copy_on_write_is_sent(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TRAIN[0])
    x = np.load(tmp_path / "x.npy", mmap_mode="c")
    x[3] = 7.0
    sent = pickle.loads(pickle.dumps(Source((x, TRAIN[1]), ("x", "y"), shuffled=True)))
    np.testing.assert_array_equal(sent.read(np.array([3]))[0], np.full((1, 4), 7.0))


def test_one_pass_scores_each_batch_before_it_is_learned() -> None:
    """Against a loop over the same batches in the order of the source."""
    (x, y), _ = small.data(114)
    task = streamed((x, y), batch_size=5, test=None, one_pass=True)
    assert (task.objective, task.mode, task.test) == ("prequential_accuracy", "max", None)
    trial = {"activation": activations.tanh, "optimizer": optimizers.sgd(0.3)}
    trained = training.run(task, trial, steps=20)

    model = net(trial, nnx.Rngs(0))
    nnx.update(model, task.init(trial, jax.random.split(jax.random.key(0))[0]).weights.params)
    losses, accuracies = [], []

    def loss(model: Any, x: Any, y: Any) -> Any:
        logits = model(x)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean(), logits

    for i in range(20):
        batch = jnp.asarray(x[5 * i : 5 * i + 5]), jnp.asarray(y[5 * i : 5 * i + 5])
        (value, logits), grads = nnx.value_and_grad(loss, has_aux=True)(model, *batch)
        losses.append(float(value))
        accuracies.append(float((logits.argmax(axis=1) == batch[1]).mean()))
        nnx.update(model, jax.tree.map(lambda p, g: p - 0.3 * g, nnx.state(model, nnx.Param), grads))
    np.testing.assert_allclose([v for _, v in trained.curve["loss"]], losses, rtol=1e-4)
    np.testing.assert_allclose([v for _, v in trained.curve["accuracy"]], accuracies, rtol=1e-6)
    assert trained.scores["prequential_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert trained.scores["prequential_accuracy"] == pytest.approx(np.mean(accuracies), rel=1e-6)


def test_one_pass_ends_with_the_source() -> None:
    task = streamed(batch_size=7, one_pass=True)
    assert task.objective == "test_accuracy"
    assert set(training.run(task, TRIAL, steps=5).scores) == {
        "prequential_loss", "prequential_accuracy", "test_loss", "test_accuracy"
    }  # fmt: skip
    with pytest.raises(ValueError, match="data for 5 steps, got steps=6"):
        training.run(task, TRIAL, steps=6)


def test_the_examples_that_are_observed_are_those_of_a_task_in_memory() -> None:
    """`recorder` observes 64 examples at equal distances of the data it is given."""
    x, y = TRAIN
    x, y = np.resize(x, (1000, 4)) + np.arange(1000, dtype=np.float32)[:, None], np.resize(y, 1000)
    data = streamed((x, y), diagnose=True).data
    rows = np.linspace(0, 999, 64).astype(int)
    np.testing.assert_array_equal(data[0][0], x[rows])
    np.testing.assert_array_equal(data[0][1], y[rows])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 41}, "40 examples, fewer than the batch_size of 41"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
        ({"window_bytes": 0.5}, "window_bytes must be a whole number"),
        ({"source": iter([1])}, "has no length"),
        ({"source": {1, 2}}, "has no index"),
        ({"source": []}, "no examples"),
        ({"source": [1, 2, 3]}, r"source\[0\] is a int, not a pair"),
        ({"source": tuple(a.tolist() for a in TRAIN)}, r"source\[0\] is a list, not a pair .* a pair of arrays"),
        ({"source": {"x": [1.0] * 9, "y": [0] * 9}}, r"source\[0\] is a list, not a pair"),
        ({"source": (TRAIN[0], TRAIN[1][:-1])}, "equal lengths, got 40 and 39"),
        ({"keys": 5}, "keys takes the names of the entries of x and y"),
        ({"source": AsDicts()}, "entries 'image', 'label', 'id', and keys=.'x', 'y'."),
        ({"source": [(np.ones(4), 0), (np.ones(5), 1), (np.ones(4), 1)], "batch_size": 2}, "example 1 .* shape .5,."),
        ({"source": [(np.ones(4), "a")] * 9}, "y of source must be numbers"),
        ({"source": [(np.ones(4), 0), (np.ones(4), 0.5)] * 9}, "one shape and dtype"),
        ({"source": (TRAIN[0], TRAIN[1] - 9)}, "labels from 0 up"),
        ({"source": (TRAIN[0] * np.nan, TRAIN[1])}, "NaN or infinite"),
        ({"test": None}, "give test="),
        ({"test": None, "validation": TEST}, "validation needs test"),
        ({"test": TEST[0]}, "test must be a pair"),
        ({"test": (TEST[0][:, :2], TEST[1])}, "differ in shape"),
        ({"build": None}, "build must be a function"),
    ],
)
def test_errors_of_streamed(arguments: Any, message: str) -> None:
    given = {"build": net, "source": TRAIN, "batch_size": 8, "test": TEST} | arguments
    with pytest.raises((ValueError, TypeError), match=message):
        training.streamed(**given)


@pytest.mark.parametrize("label, message", [(-1, "training labels from -1 to 2"), (3, "labels run up to 3")])
def test_labels_out_of_range_anywhere_in_an_array_are_refused(label: int, message: str) -> None:
    x, y = small.data(210)[0]
    y = y.copy()
    y[1] = label  # not among the 64 that are read first
    with pytest.raises(ValueError, match=message):
        training.run(streamed((x, y)), TRIAL, steps=1)


def test_an_example_of_another_shape_is_an_error_where_it_is_read() -> None:
    examples: list[Any] = list(zip(*small.data(210)[0], strict=True))
    examples[1] = np.ones(5, np.float32), 0  # not among the 64 that are read first
    task = streamed(examples, one_pass=True, batch_size=1)
    with pytest.raises(
        training.StreamError, match=r"steps 0 to .*: ValueError: x of example 1 of source has the shape"
    ):
        training.run(task, TRIAL, steps=100)


def test_a_label_that_the_loss_cannot_have_is_an_error_where_it_is_read() -> None:
    x, y = small.data(210)[0]
    y[1] = -1  # not among the 64 that are read first
    with pytest.raises(training.StreamError, match="needs labels from 0 up; got training labels from -1 to 2"):
        training.run(streamed(list(zip(x, y, strict=True))), TRIAL, steps=25)


def test_a_pandas_column_is_read_by_position() -> None:
    pandas = pytest.importorskip("pandas")
    y = pandas.Series(TRAIN[1], index=np.arange(40)[::-1])
    np.testing.assert_array_equal(
        Source((TRAIN[0], y), ("x", "y"), shuffled=True).read(np.array([3]))[1], TRAIN[1][3:4]
    )


def test_batches_of_another_shape_than_the_stream_says_are_an_error() -> None:
    task = streamed()
    broken = task.stream._replace(batches=lambda seed, begin, end: (np.zeros((end - begin, 8, 4)), np.zeros(8, int)))
    with pytest.raises(
        training.StreamError, match=r"shape \(8,\) and dtype int64 for 3 steps, whose batches need \(3, 8\)"
    ):
        training.run(task._replace(stream=broken), TRIAL, steps=3)


def test_a_stream_that_is_none_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"must be a training\.Stream"):
        training.run(streamed()._replace(stream=TRAIN), TRIAL, steps=1)  # type: ignore[arg-type]
