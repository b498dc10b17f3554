"""Sweeps on examples that are read while they run: the bits of the sweep in memory, and each example read once."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxopt_lite import activations, optimizers, sweeps, training
from tests.sweeps import small

TRAIN, TEST = small.data()
SPACE = {
    "activation": activations.tanh,
    "optimizer": sweeps.choice([optimizers.sgd(sweeps.values([0.01, 0.1])), optimizers.adam(0.01)]),
}


class Counted:
    """Examples by index, which counts how often each is read."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.reads: Counter[int] = Counter()
        self.fails_at = fails_at

    def __len__(self) -> int:
        return len(TRAIN[0])

    def __getitem__(self, index: int) -> Any:
        self.reads[index] += 1
        if self.fails_at is not None and sum(self.reads.values()) > self.fails_at:
            raise OSError("the disk is gone")
        return TRAIN[0][index], TRAIN[1][index]


def task(source: Any = TRAIN, **arguments: Any) -> training.Task:
    def build(trial: Any, rngs: Any) -> Any:
        return small.Net(trial["activation"], rngs)

    return training.streamed(build, source, **{"batch_size": 8, "test": TEST, "window_bytes": 3000} | arguments)


def columns(results: sweeps.Results) -> list[tuple[Any, ...]]:
    """The bits of settings, scores and curves, without the scores on the training part."""
    rows = []
    for row, curve in zip(results.rows(), results.curves, strict=True):
        scores = [np.float64(row[k]).tobytes() for k in ("test_loss", "test_accuracy")]
        rows.append((row["optimizer"], row["learning_rate"], row["seed"], *scores, curve["loss"].tobytes()))
    return rows


def test_a_sweep_has_the_bits_of_the_sweep_in_memory(optimised: None) -> None:
    """A diagnosed one, with merged optimizers, in chunks of one seed and of several."""
    layout = sweeps.Layout(width=2)
    memory, stream = (
        sweeps.run(one, SPACE, seeds=2, steps=60, layout=layout, progress=False)
        for one in (small.task(), task(diagnose=True))
    )
    assert columns(stream) == columns(memory)


def test_an_interrupted_sweep_continues_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted within an epoch and a window."""
    from jaxopt_lite.sweeps.execution import _schedule

    monkeypatch.setattr(_schedule, "SECONDS_A_SEGMENT", 0.0)  # segments of one point of the curve
    undisturbed = sweeps.run(task(), SPACE, seeds=2, steps=303, progress=False)
    segments = 0

    def interrupt(progress: Any) -> None:
        nonlocal segments
        segments += progress.phase == "run"
        if segments > 5:
            raise KeyboardInterrupt

    arguments = {"seeds": 2, "steps": 303, "store": tmp_path / "s"}
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(task(), SPACE, progress=interrupt, **arguments)
    assert "running" in sweeps.Results.load(tmp_path / "s").columns["status"]
    resumed = sweeps.run(task(), SPACE, progress=False, resume=True, **arguments)
    assert small.columns(resumed) == small.columns(undisturbed)


def test_no_run_is_lost_where_the_source_fails(tmp_path: Path) -> None:
    """The last runs of 12, each of which reads 320 examples."""
    arguments = {"seeds": 4, "steps": 40, "layout": sweeps.Layout(width=1), "progress": False}
    with pytest.raises(training.StreamError, match="OSError: the disk is gone"):
        sweeps.run(task(Counted(fails_at=3000)), SPACE, store=tmp_path / "s", **arguments)
    assert set(sweeps.Results.load(tmp_path / "s").columns["status"]) <= {"done", "running", "waiting"}
    resumed = sweeps.run(task(), SPACE, store=tmp_path / "s", resume=True, **arguments)
    assert small.columns(resumed) == small.columns(sweeps.run(task(), SPACE, **arguments))


def test_all_runs_of_a_seed_in_a_chunk_read_an_example_once_an_epoch() -> None:
    source = Counted()
    one = task(source)
    source.reads.clear()
    space = {"activation": activations.tanh, "optimizer": optimizers.sgd(sweeps.values([0.01, 0.03, 0.1]))}
    sweeps.run(one, space, seeds=2, steps=30, layout=sweeps.Layout(width=3), progress=False)  # 6 epochs of 5 steps
    assert set(source.reads) == set(range(40))
    assert set(source.reads.values()) == {2 * 6}  # two seeds


def test_a_task_on_files_is_sent_without_their_contents(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    rows = np.random.default_rng(0).permutation(40).repeat(1000)
    for name, array in zip("xy", TRAIN, strict=True):
        np.save(tmp_path / f"{name}.npy", array[rows])
    one = task(tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"))
    sent = cloudpickle.dumps(one)
    assert len(sent) < 100_000  # the files have 800,000 bytes
    for found, expected in zip(
        cloudpickle.loads(sent).stream.batches(3, 0, 5), one.stream.batches(3, 0, 5), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_other_data_are_another_sweep(tmp_path: Path) -> None:
    arguments = {"steps": 10, "store": tmp_path / "s", "progress": False}
    sweeps.run(task(), SPACE, **arguments)
    shorter = TRAIN[0][:-1], TRAIN[1][:-1]
    for other in (task(shorter), task((TRAIN[0] + 1, TRAIN[1]))):
        with pytest.raises(sweeps.StoreError, match="differs in its data"):
            sweeps.run(other, SPACE, resume=True, **arguments)


def test_one_pass_ranks_by_the_scores_before_each_update() -> None:
    online = task(test=None, one_pass=True, batch_size=4)
    with pytest.raises(ValueError, match="data for 10 steps, got steps=11"):
        sweeps.plan(online, SPACE, steps=11)
    space = {"activation": activations.tanh, "optimizer": optimizers.sgd(sweeps.values([0.01, 0.1]))}
    results = sweeps.run(online, space, steps=10, seeds=2, progress=False)
    for row, curve in zip(results.rows(), results.curves, strict=True):
        assert row["prequential_loss"] == pytest.approx(curve["loss"].mean(), rel=1e-5)
        assert row["prequential_accuracy"] == pytest.approx(curve["accuracy"].mean(), rel=1e-5)
    assert results.best()[0].columns["learning_rate"] == 0.1


def test_a_plan_and_an_estimate_of_a_stream(small_products: None) -> None:
    planned = sweeps.plan(task(), SPACE, steps=40)
    assert "streamed, 40 steps a run" in str(planned)
    assert sweeps.estimate(planned)["gflop"] > 0
