"""A task that raises an error for some settings: their runs fail, the sweep goes on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import sweeps, training
from jaxopt_lite.sweeps.store._ledger import Ledger
from tests.sweeps import small

RATES = (0.1, 0.2, 0.3, 0.4)


def task(bad=(), at=0, broken=(), scoring=False):
    """Descent on w²; the callback raises for the rates in `bad` from step `at` on, or when the run is scored."""

    def check(rate, i):
        if i >= at and any(np.isclose(rate, one) for one in bad):
            raise ValueError(f"rate {rate:.1f} is not allowed")
        return np.float32(0)

    def checked(rate, i):
        return jax.pure_callback(check, jax.ShapeDtypeStruct((), jnp.float32), rate, i, vmap_method="sequential")

    def init(trial, key):
        if trial.get("form") in broken:
            raise TypeError(f"no such form: {trial['form']}")
        return {"w": jnp.float32(1), "i": jnp.int32(0)}

    def step(trial, carry, data, key):
        w, form = carry["w"], 2.0 if trial.get("form") == "steep" else 1.0
        wrong = 0.0 if scoring else checked(trial["rate"], carry["i"])
        return {"w": w - form * trial["rate"] * w + wrong, "i": carry["i"] + 1}, {"loss": w**2}

    def evaluate(trial, carry, data):
        return {"test_loss": carry["w"] ** 2 + (checked(trial["rate"], carry["i"]) if scoring else 0.0)}

    return training.Task(init, step, evaluate, jnp.zeros(1), name="fragile")


def swept(task, rates=RATES, **options):
    space = {"rate": sweeps.values(rates)}
    return sweeps.run(task, space, steps=200, seeds=2, layout=sweeps.Layout(width=4), progress=False, **options)


@pytest.mark.parametrize("options", [{"at": 100}, {"scoring": True}])
def test_the_runs_that_raise_have_failed_and_the_others_are_as_without_them(options):
    found, sound = swept(task((0.2,), **options)), swept(task(**options), rates=(0.1, 0.3, 0.4))
    assert [r["status"] for r in found.rows() if r["rate"] == 0.2] == ["failed"] * 2
    assert set(found.errors) == {i for i, rate in enumerate(found.columns["rate"]) if rate == 0.2}
    assert all("ValueError: rate 0.2 is not allowed" in text for text in found.errors.values())
    rest = [r for r in found.rows() if r["rate"] != 0.2]
    assert [r["status"] for r in rest] == ["done"] * 6
    assert [r["test_loss"] for r in rest] == sound.columns["test_loss"]
    assert [s.failed for s in found.settings()] == [0, 0, 0, 2]


def test_failed_runs_are_kept_and_tried_again_when_the_sweep_is_resumed(tmp_path):
    bad = [0.2]
    before = swept(task(bad), store=tmp_path / "s")
    assert before.errors == sweeps.Results.load(tmp_path / "s").errors
    again = swept(task(bad), store=tmp_path / "s", resume=True)
    assert (again.columns["status"], set(again.errors)) == (before.columns["status"], set(before.errors))
    bad.clear()  # what the callback does is not part of the program
    mended = swept(task(bad), store=tmp_path / "s", resume=True)
    assert mended.columns["status"] == ["done"] * 8 and mended.errors == {}
    assert mended.facts["last"]["steps"] == 2 * 200


def test_failed_runs_that_other_versions_made_are_not_tried_again_with_a_warning(tmp_path):
    bad = [0.2]
    before = swept(task(bad), store=tmp_path / "s")
    ledger = Ledger.open(tmp_path / "s", write=True)
    ledger.note(versions=ledger.facts()["versions"] | {"jax": "0.0.1"})
    ledger.close()
    bad.clear()
    with pytest.warns(UserWarning, match="2 failed runs of .* cannot be tried again here"):
        again = swept(task(bad), store=tmp_path / "s", resume=True)
    assert small.columns(again) == small.columns(before)


def test_a_run_that_is_done_stays_so_if_its_state_cannot_be_made_again(tmp_path):
    """It fails in a later segment than the first."""
    bad, options = [], {"store": tmp_path / "s"}
    before = swept(task(bad, at=150), **options, keep=0)
    bad += RATES
    with pytest.warns(UserWarning, match="the final states of 1 run cannot be made again: ValueError: rate"):
        again = swept(task(bad, at=150), **options, keep=1, resume=True)
    assert again.columns["status"] == ["done"] * 8
    assert small.columns(again) == small.columns(before)


def test_a_run_that_diverges_shows_that_the_task_can_be_trained():
    found = swept(task((0.1,)), rates=(0.1, 3.0))
    assert found.columns["status"] == ["failed"] * 2 + ["diverged"] * 2


def test_a_pruning_rule_takes_a_failed_run_for_a_bad_one():
    found = swept(task((0.4,)), stop=sweeps.halving(eta=2, first=1 / 4, race=True))
    status = dict(
        zip(zip(found.columns["rate"], found.columns["seed"], strict=True), found.columns["status"], strict=True)
    )
    assert status[0.4, 0] == "failed"
    assert found.best()[0].columns["rate"] == 0.3


def test_if_every_run_fails_the_error_is_raised_and_nothing_is_written_of_it(tmp_path):
    with pytest.raises(Exception, match=r"rate 0\.\d is not allowed"):
        swept(task(RATES), store=tmp_path / "s")
    assert set(sweeps.Results.load(tmp_path / "s").columns["status"]) <= {"waiting", "running"}


def test_a_structure_that_raises_has_failed_with_a_warning_and_the_others_are_trained():
    space = {"rate": sweeps.values([0.1, 0.2]), "form": sweeps.choice(["plain", "odd", "steep"])}
    with pytest.warns(UserWarning, match=r"1 structure of the space .* form odd, rate 0.1: TypeError: no such"):
        found = sweeps.run(task(broken=("odd",)), space, steps=20, progress=False)
    by_form = {form: [r["status"] for r in found.rows() if r["form"] == form] for form in ("plain", "odd", "steep")}
    assert by_form == {"plain": ["done"] * 2, "odd": ["failed"] * 2, "steep": ["done"] * 2}
    assert set(found.errors.values()) == {"TypeError: no such form: odd"}
    with pytest.raises(TypeError, match="no such form") as raised:
        sweeps.run(task(broken=("odd",)), {"rate": 0.1, "form": "odd"}, steps=20, progress=False)
    assert raised.value.__notes__


def test_a_store_with_a_structure_that_raises_can_be_resumed_and_extended(tmp_path):
    space = {"rate": 0.1, "form": sweeps.choice(["plain", "odd", "steep"])}
    grown = []
    for options in ({"seeds": 1}, {"seeds": 1, "resume": True}, {"seeds": 2, "extend": True}):
        with pytest.warns(UserWarning, match="cannot be trained"):
            grown.append(
                sweeps.run(task(broken=("odd",)), space, steps=20, store=tmp_path / "s", progress=False, **options)
            )
    assert [found.columns["status"].count("failed") for found in grown] == [1, 1, 2]
    assert grown[2].columns["status"].count("done") == 4


def test_the_report_says_that_runs_failed_and_why(tmp_path):
    from jaxopt_lite import report

    space = {"rate": sweeps.values([0.1, 0.2]), "form": sweeps.choice(["plain", "odd"])}
    with pytest.warns(UserWarning, match="cannot be trained"):
        found = sweeps.run(task(broken=("odd",)), space, steps=20, progress=False)
    text = report.page(found, tmp_path / "page.html").read_text()
    assert "Failed runs" in text and text.count("TypeError: no such form: odd") == 2
    assert "2 of 2 failed" in text and "waiting" not in text.partition("<body")[2].replace("to wait", "")
    assert "2 failed" in repr(found)
