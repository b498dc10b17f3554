"""Why settings lost, of tables whose truth is known."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from jaxopt_lite import sweeps
from jaxopt_lite.diagnostics import Record
from jaxopt_lite.diagnostics._conclude import Label, Labels
from jaxopt_lite.diagnostics._record import FIELDS

HEALTHY = {
    "rms": 1.0,
    "offset": 0.5,
    "alike": 0.3,
    "gradient": 1.0,
    "finite": 1.0,
    "dead": 0.0,
    "saturated": 0.5,
    "usual": 0.5,
    "mean": 0.4,
    "gain": 1.4,
    "slope_gain": 1.4,
    "can_die": 1.0,
    "one_sided": 1.0,
}
DEPTH = 3


def state(loss: float = 2.0, norm: float = 1.0, **layers: dict[int, float] | float) -> Record:
    """A record of three layers, healthy but for the statistics given: of all layers, or by the number of the layer."""
    label = [Label(f"layers.{i}", "Linear", "relu" if i < DEPTH - 1 else "", (64, 8)) for i in range(DEPTH)]
    rows = []
    for i in range(DEPTH):
        own = {
            name: value.get(i, HEALTHY[name]) if isinstance(value, dict) else value for name, value in layers.items()
        }
        rows += [(HEALTHY | own)[name] for name in FIELDS]
    numbers = np.asarray([loss, norm, 1.0, 0.0, 0.3, *rows], np.float32)
    return Record(Labels(tuple(label), {}, False, False, "nnx"), numbers)


DEAD = {"dead": {1: 0.82}}
FINE = {step: state() for step in (0, 8, 64, 100)}


def table(runs: list[dict[str, Any]], seeds: int = 2, steps: int = 100, **facts: Any) -> sweeps.Results:
    """Results of runs of several seeds each, of which the fields that matter are given."""
    rows = [run for run in runs for _ in range(seeds)]
    loss = np.linspace(2.0, 0.1, 100)
    columns = {
        "activation": [run.get("activation", "relu") for run in rows],
        "optimizer": ["sgd"] * len(rows),
        "learning_rate": [run["rate"] for run in rows],
        "seed": list(range(seeds)) * len(runs),
        "status": [run.get("status", "done") for run in rows],
        "step": [run.get("step", steps) for run in rows],
        "test_accuracy": [run.get("score", math.nan) + 0.002 * (i % seeds) for i, run in enumerate(rows)],
    }
    return sweeps.Results(
        columns,
        ("activation", "optimizer", "learning_rate"),
        "test_accuracy",
        "max",
        {"seeds": list(range(seeds)), "steps": steps, "stride": 1, "stop": "halving(eta=3)"} | facts,
        [{"loss": run.get("loss", loss)} for run in rows],
        None,
        rungs=[run.get("rungs", {}) for run in rows],
        records=[run.get("records", FINE) for run in rows],
    )


BEST = {"rate": 0.1, "score": 0.95, "rungs": {50: 0.9}}


def reason(run: dict[str, Any], *others: dict[str, Any]) -> sweeps.Reason:
    """The reason of a run beside the best and others."""
    found = {one.setting.columns["learning_rate"]: one for one in table([BEST, run, *others]).reasons()}
    return found[run["rate"]]


def test_a_run_that_diverges() -> None:
    records = {0: state(2, 1), 8: state(2, 3), 38: state(1e3, 1e4), 39: state(1e9, 3e6), 40: state(math.nan, math.nan)}
    loss = np.where(np.arange(100) < 39, 2.0, np.nan)
    found = reason({"rate": 1.0, "status": "diverged", "records": records, "loss": loss}, {"rate": 0.5, "score": 0.94})
    assert found.text == (
        "diverged at step 40: the gradient norm grew 10^6-fold from step 8 to 39; try clip_by_global_norm(3.0) or a "
        "rate below 1: 0.5 did not diverge"
    )
    assert (found.cause, found.step) == ("diverged", 40)
    assert found.remedies[0].code == "learning_rate = 0.5\ntx = opt.chain(opt.clip_by_global_norm(3.0), tx)"


def test_a_run_that_diverges_since_its_gradients_explode_from_the_start() -> None:
    records = {0: state(gradient={0: 1e5}), 1: state(math.nan, math.nan)}
    found = reason({"activation": "tanh", "rate": 1.0, "status": "diverged", "records": records})
    assert found.cause == "exploding"
    assert found.text.startswith("diverged at step 1: from layers.2 back to layers.0 the gradient grows 1.0e+05 times")
    assert "variance_scaling" in found.remedies[0].code


def test_a_run_that_diverges_without_records_before_it() -> None:
    loss = np.where(np.arange(100) < 20, 2.0, np.nan)
    loss[19] = 3e6
    found = reason({"rate": 1.0, "status": "diverged", "records": {}, "loss": loss})
    advice = "try clip_by_global_norm(1.0) or a rate below 1: 0.1 did not diverge"
    assert found.text == f"diverged at step 21: the loss grew from 2 to 3e+06 in 19 steps; {advice}"


def test_units_that_die_at_a_rate_that_is_too_high() -> None:
    records = {0: state(), 8: state(), 64: state(**DEAD), 100: state(**DEAD)}
    found = reason({"rate": 1.0, "score": 0.5, "records": records})
    assert found.text == (
        "82% of the units of layers.1 are constant with derivative 0 (1 of 3 layers, first layers.1), from step 64 on; "
        "with 0.1 the same reaches test accuracy 0.951, not 0.501"
    )
    assert (found.cause, found.step) == ("dead", 64)
    assert [remedy.code.partition("\n")[0] for remedy in found.remedies[:2]] == [
        "learning_rate = 0.1",
        "activation = act.leaky_relu",
    ]


def test_gradients_that_vanish_from_the_start() -> None:
    """Of another activation, whose rates all fail: the rate is not the reason."""
    gradient = {0: 1e-9, 1: 1e-5}
    records = {step: state(gradient=gradient) for step in FINE}
    run = {"activation": "sigmoid", "rate": 0.2, "score": 0.1, "records": records}
    found = reason(run, run | {"rate": 0.3, "score": 0.09})
    assert found.cause == "vanishing" and found.step == 0
    assert found.text.startswith("the gradient at layers.0 is 1.0e-09 of that at layers.2")
    assert found.text.endswith(", from the start: relu at depth 2")


def test_a_trouble_of_the_best_is_no_reason() -> None:
    records = {step: state(**DEAD) for step in FINE}
    run = {"activation": "tanh", "rate": 0.2, "score": 0.8, "records": records}
    results = table([BEST | {"records": records}, run])
    assert [one.cause for one in results.reasons()] == ["behind"]
    assert results.reasons()[0].text == (
        "no trouble in the layers: test accuracy 0.15 behind the best, and the loss was still falling: try more steps "
        "or a higher rate"
    )


def test_a_trouble_that_passes() -> None:
    records = {step: state(alike=0.99 if step < 100 else 0.3) for step in FINE}
    found = reason({"activation": "sigmoid", "rate": 0.2, "score": 0.8, "records": records})
    assert found.cause == "collapsed"
    assert found.text.endswith(", from the start until step 64: relu at depth 2")


def test_rates_that_are_too_low_or_too_high() -> None:
    low, high = reason({"rate": 1e-4, "score": 0.2}), reason({"rate": 0.9, "score": 0.4})
    assert low.text == "learning rate 0.0001 is too low: with 0.1 the same reaches test accuracy 0.951, not 0.201"
    assert high.text.startswith("learning rate 0.9 is too high: with 0.1")
    assert low.remedies[0].code == "learning_rate = 0.1"
    flat = {"activation": "tanh", "rate": 1e-3, "score": 0.2, "loss": np.full(100, 2.3)}
    assert reason(flat).text.endswith("the loss went from 2.3 to 2.3 only: try a higher rate")


def test_other_numbers_that_are_better() -> None:
    results = table([BEST, {"rate": 0.2, "score": 0.5}])
    columns = results.columns | {"weight_decay": [0.0, 0.0, 0.1, 0.1]}
    (found,) = dataclasses.replace(results, columns=columns, swept=(*results.swept, "weight_decay")).reasons()
    assert found.cause == "settings"
    assert found.text == (
        "other settings of the same combination are better: with learning rate 0.1, weight decay 0 the same reaches "
        "test accuracy 0.951, not 0.501"
    )
    assert found.remedies[0].code == "learning_rate = 0.1\nweight_decay = 0"


def test_settings_that_were_stopped() -> None:
    run = {"rate": 1e-3, "status": "pruned", "step": 50, "rungs": {50: 0.61}, "records": {0: state(), 50: state()}}
    assert reason(run).text == "stopped at step 50 by halving, with test accuracy 0.61 where the best had 0.9"
    dead = reason(run | {"records": {0: state(), 50: state(**DEAD)}})
    assert dead.cause == "dead"
    assert dead.text.startswith("stopped at step 50 by halving, with test accuracy 0.61 where the best had 0.9: 82% of")


def test_the_best_and_what_is_tied_with_it_have_no_reason() -> None:
    results = table(
        [BEST, {"rate": 0.2, "score": 0.9501}, {"rate": 0.3, "score": 0.5}, {"rate": 0.4, "status": "waiting"}]
    )
    assert [one.setting.columns["learning_rate"] for one in results.reasons()] == [0.3]
    single = table([BEST, {"rate": 0.2, "score": 0.9501}], seeds=1)
    assert len(single.reasons()) == 1


def test_a_fitted_network_has_no_trouble() -> None:
    """The gradient of a loss of 0 is 0."""
    fitted = {step: state(loss=0.0, gradient=0.0) for step in FINE}
    assert reason({"activation": "tanh", "rate": 0.2, "score": 0.8, "records": fitted}).cause == "behind"


def test_a_sweep_that_recorded_nothing() -> None:
    results = table([BEST])
    with pytest.raises(ValueError, match="the layers of this sweep were not recorded"):
        dataclasses.replace(results, records=None).reasons()


def test_what_the_best_had_at_the_same_step_is_no_reason() -> None:
    alike = {"alike": 0.99}
    best = {"rate": 0.1, "score": 0.9, "records": {0: state(**alike), 50: state(**alike), 100: state()}}
    best["rungs"] = {50: 0.5}
    cut = {"rate": 0.2, "status": "pruned", "step": 50, "records": {0: state(**alike), 50: state(**alike)}}
    (reason,) = table([best, cut | {"rungs": {50: 0.2}}]).reasons()
    assert reason.cause == "stopped" and "alike" not in reason.text


def test_a_start_that_the_best_has_too_is_no_reason_to_diverge() -> None:
    explodes = {"gradient": {0: 1e4}}
    best = {"rate": 0.01, "score": 0.9, "records": {0: state(**explodes), 32: state(), 100: state()}}
    loss = np.concatenate([np.linspace(2.0, 9.0, 20), np.full(80, np.nan)])
    lost = {"rate": 1.0, "status": "diverged", "step": 20, "loss": loss, "records": {0: state(**explodes)}}
    (reason,) = table([best, lost]).reasons()
    assert reason.cause == "diverged" and "a rate below 1" in reason.text


def test_whole_numbers_are_written_in_full() -> None:
    from jaxopt_lite.sweeps.results._changes import _number

    assert [_number(value) for value in (1024, 0.0123456789)] == ["1024", "0.0123457"]
