"""What a sweep records of layers: it changes no number of the runs, and does not depend on how they are run."""

import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from flax import linen as nn

from jaxopt_lite import activations, optimizers, sweeps, training
from jaxopt_lite.sweeps.execution import _schedule
from tests.sweeps import small

RATES = (0.01, 0.1, 1e18)  # the last one diverges
TASK = small.task()._replace(diagnose=True)


def space() -> dict[str, Any]:
    return small.space(RATES) | {"activation": activations.leaky_relu}


def swept(task: training.Task = TASK, steps: int = 80, **given: Any) -> sweeps.Results:
    return sweeps.run(task, space(), seeds=2, steps=steps, progress=False, **given)


def bits(results: sweeps.Results) -> list[dict[int, bytes]]:
    return [{step: one.numbers.tobytes() for step, one in records.items()} for records in results.records or []]


@pytest.fixture(scope="module")
def whole() -> sweeps.Results:
    return swept()


@pytest.mark.parametrize("merge", [True, False])
def test_runs_are_the_same_bit_for_bit_with_and_without(whole: sweeps.Results, merge: bool) -> None:
    layout = sweeps.Layout(merge=merge)
    plain = swept(small.task(), layout=layout)
    diagnosed = whole if merge else swept(layout=layout)
    assert small.columns(plain) == small.columns(diagnosed)
    assert plain.records is None
    for one, other in zip(diagnosed.records or [], whole.records or [], strict=True):
        assert list(one) == list(other)
        for step in one:  # recorded by another program, if optimizers are not merged
            np.testing.assert_allclose(one[step].numbers, other[step].numbers, rtol=1e-4, atol=1e-6)
    assert {"diverged", "done"} == set(plain.columns["status"])


def test_the_steps_that_are_recorded(whole: sweeps.Results) -> None:
    """A run that diverges is recorded closely where its loss is last finite."""
    for status, records in zip(whole.columns["status"], whole.records or [], strict=True):
        finite = {step: bool(np.isfinite(one.numbers[0])) for step, one in sorted(records.items())}
        if status == "done":
            assert finite == dict.fromkeys((0, 32, 80), True)
        else:
            assert finite == {0: True, 2: False, 3: False}  # the loss of a step is that before its update


def test_segments_widths_and_interrupts_do_not_show(
    whole: sweeps.Results, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_schedule, "SECONDS_A_SEGMENT", 1e-9)
    monkeypatch.setattr(_schedule, "_PROBE_STEPS", 3)

    def interrupt(progress: Any) -> None:
        if progress.phase == "run" and progress.trials_done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeps.run(TASK, space(), seeds=2, steps=80, store=tmp_path, progress=interrupt)
    resumed = swept(store=tmp_path, resume=True)
    done = [i for i, status in enumerate(whole.columns["status"]) if status == "done"]
    assert [small.columns(resumed)[i] for i in done] == [small.columns(whole)[i] for i in done]
    assert bits(resumed) == bits(whole)
    assert bits(sweeps.Results.load(tmp_path)) == bits(whole)
    with pytest.raises(sweeps.StoreError, match="in its diagnose: the store has True, requested False"):
        swept(small.task(), store=tmp_path, resume=True)


def test_runs_that_are_stopped_and_begin_again(tmp_path: Any) -> None:
    results = swept(steps=90, stop=sweeps.halving(eta=3, first=1 / 9, race=False), store=tmp_path)
    for status, step, records in zip(*(results.columns[c] for c in ("status", "step")), results.records, strict=True):
        assert status == "diverged" or max(records) == step
        assert status == "diverged" or {0, 10} <= set(records)
    stopped = [reason for reason in results.reasons() if reason.setting.pruned and not reason.setting.diverged]
    assert stopped and all(reason.text.startswith("stopped at step ") for reason in stopped)
    assert all("by halving" in reason.text for reason in stopped)


def test_a_population_records_the_run_that_continues() -> None:
    search = sweeps.population(4, 8)
    results = sweeps.run(TASK, space(), search=search, steps=24, progress=False, trials=4)
    for row, records in enumerate(results.records or []):
        assert {0, 8, 16, 24} <= set(records) or results.columns["status"][row] == "diverged"


def test_a_ledger_from_before_there_were_records(tmp_path: Any) -> None:
    store = tmp_path / "old"
    plain = sweeps.run(small.task(), small.space((0.1,)), steps=10, store=store, progress=False)
    with closing(sqlite3.connect(store / "ledger.sqlite")) as db:
        db.execute("DROP TABLE records")
        db.execute("DELETE FROM sweep WHERE key = 'diagnose'")
        db.commit()
    old = sweeps.Results.load(store)
    assert small.columns(old) == small.columns(plain)
    grown = sweeps.run(small.task(), small.space((0.1,)), seeds=2, steps=10, store=store, extend=True, progress=False)
    assert len(grown) == 4
    with pytest.raises(ValueError, match="the layers of this sweep were not recorded"):
        old.reasons()


def test_convolutions() -> None:
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dense(3)(nn.relu(nn.Conv(4, (2, 2))(x.reshape(-1, 2, 2, 1))).mean((1, 2)))

    task = training.supervised(lambda trial, rngs: Net(), small.data(), batch_size=8, diagnose=True)
    given = {"optimizer": optimizers.sgd(sweeps.values([0.01, 0.1]))}
    results = sweeps.run(task, given, steps=9, progress=False)
    trained = training.run(task, {"optimizer": optimizers.sgd(0.01)}, steps=9)
    for step in (0, 9):
        found, expected = (results.records or [])[0][step].diagnosis(), trained.diagnoses[step]
        assert [layer.activation for layer in found.layers] == ["relu", ""]
        for one, other in zip(found.layers, expected.layers, strict=True):
            np.testing.assert_allclose([one.rms, one.gradient], [other.rms, other.gradient], rtol=1e-3)
