"""Sweeps that a strategy stops: the same numbers and decisions whatever happens on the way."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers, sweeps, training
from jaxopt_lite.sweeps.execution import _schedule
from jaxopt_lite.sweeps.store import _extend
from tests.sweeps import small

RATES = tuple(float(f"{rate:.4g}") for rate in np.geomspace(1e-3, 3, 9))
STEPS = 90


def swept(store=None, stop=None, **options):
    options = {"seeds": 3, "steps": STEPS, "progress": False} | options
    return sweeps.run(small.plain(), small.space(RATES), stop=stop, store=store, **options)


def outcomes(results, steps=None):
    """Status, step and the bits of scores and curve of each run."""
    found = {}
    for row, curve in zip(results.rows(), results.curves, strict=True):
        scores = tuple(np.float64(row[name]).tobytes() for name in results.score_names())
        key = (row["optimizer"], row["learning_rate"], row["seed"])
        found[key] = (row["status"], row["step"], *scores, *(np.asarray(c).tobytes() for c in curve.values()))
    return found


@pytest.fixture(scope="module")
def whole():
    return swept()


@pytest.fixture(scope="module")
def raced():
    return swept(stop=sweeps.halving(eta=3, first=1 / 9, race=True))


def test_finished_runs_of_a_pruned_sweep_have_the_bits_of_the_whole_one(whole, raced):
    expected, found = outcomes(whole), outcomes(raced)
    assert {key[0] for key in found.values()} == {"done", "pruned"}
    done = {key: one for key, one in found.items() if one[0] == "done"}
    assert done == {key: expected[key] for key in done}
    # 18 settings, of which 6 and 2 continue; of the last 2 one gets the other two seeds
    steps = {status: [one[1] for one in found.values() if one[0] == status] for status in ("done", "pruned")}
    assert sorted(steps["done"]) == [90] * 4
    assert sorted(steps["pruned"]) == sorted([10] * 12 + [30] * 4 + [0] * 34)
    assert raced.facts["last"]["steps"] == 18 * 10 + 6 * 20 + 2 * 60 + 2 * 90


def test_the_curve_of_a_pruned_run_is_the_beginning_of_the_whole_one(whole, raced):
    pairs = zip(whole.rows(), whole.curves, strict=True)
    rows = {(r["optimizer"], r["learning_rate"], r["seed"]): curve for r, curve in pairs}
    for row, curve in zip(raced.rows(), raced.curves, strict=True):
        if row["step"]:
            expected = rows[row["optimizer"], row["learning_rate"], row["seed"]]["loss"]
            np.testing.assert_array_equal(curve["loss"][: row["step"]], expected[: row["step"]])
            assert np.isnan(curve["loss"][row["step"] :]).all()


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("stop", [sweeps.halving(race=True), sweeps.hyperband(first=1 / 9), sweeps.median()], ids=repr)
def test_an_interrupted_sweep_makes_the_same_decisions(tmp_path, stop, monkeypatch):
    from jaxopt_lite.sweeps.store._ledger import Ledger

    expected = outcomes(swept(stop=stop, confirm=(2, 1)))
    record, calls = Ledger.record, [0]

    def interrupted(ledger, found):
        record(ledger, found)
        calls[0] += 1
        if calls[0] in (1, 3, 6, 10, 15):
            raise Interrupt

    monkeypatch.setattr(Ledger, "record", interrupted)
    for attempt in range(100):
        try:
            found = swept(tmp_path / "s", stop, confirm=(2, 1), resume=attempt > 0)
            break
        except Interrupt:
            pass
    assert attempt > 3
    assert outcomes(found) == expected


def test_works_and_answers_can_be_sent_to_another_process(raced, monkeypatch):
    from jaxopt_lite.sweeps.execution import _threads

    def sent(value):
        assert not [x for x in jax.tree.leaves(value) if isinstance(x, jax.Array)]
        return pickle.loads(pickle.dumps(value))

    attempted = _threads.attempted
    monkeypatch.setattr(_threads, "attempted", lambda programs, data, work: sent(attempted(programs, data, sent(work))))
    assert outcomes(swept(stop=sweeps.halving(eta=3, first=1 / 9, race=True))) == outcomes(raced)


def test_confirmation_uses_seeds_that_took_no_part_in_the_selection():
    found = swept(stop=sweeps.halving(race=True), confirm=(1, 2))
    best = found.best()[0]
    assert found.confirming.count(True) == 2
    fresh = [row for row, confirms in zip(found.rows(), found.confirming, strict=True) if confirms]
    assert [row["seed"] for row in fresh] == [3, 4]
    assert best.seeds == 3
    assert best.confirmed["test_loss"].mean == pytest.approx(np.mean([row["test_loss"] for row in fresh]))
    assert {row["learning_rate"] for row in fresh} == {best.columns["learning_rate"]}


def test_the_best_states_are_kept_and_no_others(tmp_path):
    from jaxopt_lite.sweeps.store._ledger import Ledger

    for keep, runs in ((0, 0), (1, 3), (2, 6), ("all", 18 * 3)):
        found = swept(tmp_path / str(keep), keep=keep)
        ledger = Ledger.open(tmp_path / str(keep), write=False)
        kept = ledger.stored()
        ledger.close()
        assert len(kept) == runs - (keep == "all") * found.columns["status"].count("diverged")
        best = [row for setting in found.settings()[: keep if keep != "all" else None] for row in setting.trials]
        assert keep == "all" or sorted(kept) == sorted(best)


def test_a_state_that_was_not_kept_in_time_is_made_again(tmp_path, monkeypatch):
    """The best setting is known only when all its seeds are done."""
    from jaxopt_lite.sweeps.execution import _rounds
    from jaxopt_lite.sweeps.store._ledger import Ledger

    expected = swept(tmp_path / "a")
    keep, again = _rounds.Best.keep_all, []
    monkeypatch.setattr(_rounds.Best, "keeps", lambda self, objective: bool(again))
    monkeypatch.setattr(_rounds.Best, "keep_all", lambda self: again.append(keep(self)) or again.append(1))
    found = swept(tmp_path / "b")
    assert again
    assert outcomes(found) == outcomes(expected)
    states = []
    for name in "ab":
        ledger = Ledger.open(tmp_path / name, write=False)
        states.append({row: blob for row, _, blob in ledger.carries()})
        ledger.close()
    assert states[0] == states[1]
    assert len(states[0]) == 3


def test_a_rung_is_scored_and_other_segments_are_not(monkeypatch):
    from jaxopt_lite.sweeps.programs._program import Programs

    scored, calls = Programs.scored, []
    monkeypatch.setattr(Programs, "scored", lambda self, *a: calls.append(1) or scored(self, *a))
    task = small.plain()
    sweeps.run(
        task,
        {"optimizer": small.space((0.1,))["optimizer"], "activation": small.space()["activation"]},
        steps=STEPS,
        progress=False,
        stop=sweeps.halving(),
    )
    # two optimizers at the rungs 10 and 30, one at 90
    assert len(calls) == 2 + 1 + 1


def test_runs_that_diverge_at_a_rung_do_not_continue():
    def step(trial, w, data, key):
        return w * trial["rate"], {"loss": w}

    task = training.Task(lambda trial, key: np.float32(1), step, lambda trial, w, data: {"test_loss": w}, None)
    found = sweeps.run(
        task, {"rate": sweeps.values([1e20, 0.5, 0.9, 0.7])}, steps=90, progress=False, stop=sweeps.halving()
    )
    assert found.columns["status"] == ["diverged", "done", "pruned", "done"] or found.columns["status"][0] == "diverged"
    assert found.best()[0].columns["rate"] == 0.5


@pytest.mark.parametrize("stop", [None, sweeps.halving(race=True)], ids=repr)
def test_a_sweep_that_grows_has_the_numbers_of_the_large_one(tmp_path, stop):
    """Trials, then seeds. Of the runs that the large sweep finishes none is missing, and finished runs stay."""

    def grown(trials, seeds, **options):
        space = {"activation": small.space()["activation"], "optimizer": optimizers.adam(sweeps.log_uniform(1e-3, 1))}
        # one width: on an accelerator it follows the number of runs
        options = {"steps": STEPS, "progress": False, "stop": stop, "layout": sweeps.Layout(width=8)} | options
        return sweeps.run(small.plain(), space, trials=trials, seeds=seeds, **options)

    def keyed(results):
        rows = zip(results.rows(), results.curves, strict=True)
        return {
            (r["learning_rate"], r["seed"]): (r["test_loss"], *(c.tobytes() for c in curve.values()))
            for r, curve in rows
            if r["status"] == "done"
        }

    first = keyed(grown(6, 2, store=tmp_path / "s"))
    second = keyed(grown(12, 2, store=tmp_path / "s", extend=True))
    third = grown(12, 3, store=tmp_path / "s", extend=True)
    whole = grown(12, 3)
    assert first.items() <= second.items() <= keyed(third).items()
    assert keyed(whole).items() <= keyed(third).items()
    assert third.best()[0].columns == whole.best()[0].columns
    if stop is None:
        assert third.rows() == whole.rows()


@pytest.mark.parametrize("keep", ["all", 0])
@pytest.mark.parametrize("steps", [(90, 120), (90, 180)], ids=str)
def test_more_steps_continue_kept_states_and_repeat_the_others(tmp_path, keep, steps):
    options = {"seeds": 1, "keep": keep, "progress": False}
    space = small.space((0.1,))
    sweeps.run(small.plain(), space, steps=steps[0], store=tmp_path / "s", **options)
    grown = sweeps.run(small.plain(), space, steps=steps[1], store=tmp_path / "s", extend=True, **options)
    whole = sweeps.run(small.plain(), space, steps=steps[1], **options)
    assert grown.facts["last"]["steps"] == 2 * (steps[1] - (steps[0] if keep else 0))
    assert [row["test_loss"] for row in grown.rows()] == [row["test_loss"] for row in whole.rows()]
    for mine, expected in zip(grown.curves, whole.curves, strict=True):
        np.testing.assert_allclose(mine["loss"], expected["loss"], rtol=1e-5)


def counted(rates, interrupt_at=None, **options):
    """A sweep whose loss is the number of the step, and infinite from step 130 on for rates above 1."""

    def step(trial, n, data, key):
        return n + 1, {"loss": jnp.where((trial["rate"] > 1) & (n >= 130), jnp.inf, n)}

    def init(trial, key):
        return np.float32(0)

    def evaluate(trial, n, data):
        return {"validation_loss": n * trial["rate"]}

    def interrupt(progress):
        if interrupt_at and progress.compute >= interrupt_at:
            raise KeyboardInterrupt

    task = training.Task(init, step, evaluate, None, name="counted", objective="validation_loss")
    return sweeps.run(task, {"rate": sweeps.values(rates)}, keep="all", progress=interrupt, **options)


@pytest.mark.parametrize("steps", [250, 300])
@pytest.mark.parametrize("stop", [None, sweeps.halving(first=1 / 3)])
def test_curves_of_unfinished_stopped_and_diverged_runs_get_the_larger_stride(tmp_path, monkeypatch, steps, stop):
    """Of 140 steps a point has 2, of 250 and 300 then 4, with a part of one at each end."""
    monkeypatch.setattr(_schedule, "segment_end", lambda step, end, length, stride: min(end, step + 50))
    options = {"store": tmp_path / "s", "stop": stop}
    with pytest.raises(KeyboardInterrupt):
        counted([0.1, 0.2, 0.5, 2.0], interrupt_at=0.3, steps=140, **options)
    assert "running" in sweeps.Results.load(tmp_path / "s").columns["status"]
    counted([0.1, 0.2, 0.5, 2.0], steps=140, resume=True, **options) if stop else None
    grown = counted([0.1, 0.2, 0.5, 2.0], steps=steps, extend=True, **options)
    stride = grown.facts["stride"]
    assert stride == 4 and set(grown.columns["status"]) == {"done", "diverged" if stop is None else "pruned"}
    for row, curve in zip(grown.rows(), grown.curves, strict=True):
        reached = 130 if row["status"] == "diverged" else row["step"]
        points = curve["loss"][: reached // stride]
        np.testing.assert_allclose(points, np.arange(len(points)) * stride + (stride - 1) / 2)
    again = counted([0.1, 0.2, 0.5, 2.0], steps=steps, resume=True, **options)
    assert again.facts["stride"] == stride and again.facts["last"]["steps"] == 0


def test_a_point_that_is_not_full_keeps_its_part():
    np.testing.assert_allclose(_extend.wider(np.ones(100, np.float32), 3)[[0, 32, 33, 34]], [1, 1, 1 / 3, 0])


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"steps": 50}, "steps, which can only grow: the store has 90, requested 50"),
        ({"seeds": 2}, "seeds, which can only grow"),
        ({"seeds": [0, 2, 1, 3]}, "seeds, which can only grow"),
        ({"stop": sweeps.halving()}, "in its stop: the store has None, requested halving"),
        ({"confirm": (1, 1)}, "in its confirm"),
    ],
    ids=str,
)
def test_what_cannot_grow_is_refused_and_the_store_is_unchanged(tmp_path, changed, message):
    swept(tmp_path / "s", steps=90, seeds=3)
    before = {p.name: p.read_bytes() for p in (tmp_path / "s").iterdir()}
    with pytest.raises(sweeps.StoreError, match=message):
        swept(tmp_path / "s", extend=True, **changed)
    assert {p.name: p.read_bytes() for p in (tmp_path / "s").iterdir()} == before


def test_seeds_that_confirmed_become_seeds_of_the_sweep(tmp_path):
    options = {"stop": sweeps.halving(race=True), "confirm": (1, 2)}
    swept(tmp_path / "s", seeds=2, **options)
    grown = swept(tmp_path / "s", seeds=3, extend=True, **options)
    whole = swept(seeds=3, **options)
    assert [row["seed"] for row, c in zip(grown.rows(), grown.confirming, strict=True) if c] == [3, 4]
    assert grown.best()[0].columns == whole.best()[0].columns
    assert grown.best()[0].scores == whole.best()[0].scores
    assert grown.best()[0].confirmed == whole.best()[0].confirmed


def test_test_scores_are_those_of_finished_runs_only(tmp_path):
    """`Task.test` is not evaluated at rungs."""
    from jaxopt_lite.sweeps.store._ledger import Ledger

    def step(trial, w, data, key):
        return w - 0.01 * trial["rate"], {"loss": w}

    task = training.Task(
        lambda trial, key: np.float32(1),
        step,
        lambda trial, w, data: {"validation_loss": w},
        None,
        objective="validation_loss",
        test=lambda trial, w, data: {"test_loss": 2 * w},
    )
    space = {"rate": sweeps.values([0.25, 0.5, 0.75, 1.0])}
    found = sweeps.run(task, space, steps=90, stop=sweeps.halving(), store=tmp_path / "s", progress=False)
    done = [row for row in found.rows() if row["status"] == "done"]
    assert [row["test_loss"] for row in done] == [2 * row["validation_loss"] for row in done]
    ledger = Ledger.open(tmp_path / "s", write=False)
    assert len(ledger.scores(10)) == 4
    assert all(set(named) == {"validation_loss"} for named in ledger.scores(10).values())
    ledger.close()
