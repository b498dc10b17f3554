"""Progress under a rule that stops settings early: who is alive, what was spent, and at most how much will be."""

import io
import itertools
import re

import jax
import pytest

from jaxopt_lite import optimizers, sweeps
from jaxopt_lite.sweeps import _lines
from jaxopt_lite.sweeps._lines import Lines, sentence
from tests.report import searched as example
from tests.sweeps import small

FULL = 27 * 3 * example.STEPS


def told(**options):
    seen = []
    results = example.swept(progress=seen.append, **options)
    return [p for p in seen if p.phase == "run"], results


def test_halving_tells_who_is_alive_and_bounds_the_compute():
    seen, results = told()
    rounds = list(dict.fromkeys((p.step, p.settings_alive) for p in seen))
    assert rounds == [(27, 27), (3, 27), (9, 9), (27, 3), (27, 1)] or rounds == [(3, 27), (9, 9), (27, 3), (27, 1)]
    assert {p.settings for p in seen} == {27}
    bound = (27 * 3 + 9 * 6 + 3 * 18 + 2 * 27) / FULL  # if no run diverged
    assert {round(p.compute_limit, 9) for p in seen} == {round(bound, 9)}
    assert seen[-1].compute == pytest.approx(sum(results.columns["step"]) / FULL)
    assert all(a.compute <= b.compute <= bound for a, b in itertools.pairwise(seen))
    assert seen[-1].share == 1.0 and seen[-1].trials_done == seen[-1].trials


def test_the_bound_of_a_rule_without_one_is_every_step():
    seen, _ = told(stop=sweeps.median(first=1 / 3, every=1 / 3))
    assert {p.compute_limit for p in seen} == {1.0}
    assert seen[-1].settings_alive < 27
    assert "at most" not in sentence(seen[-2], "validation_score")


def test_without_a_rule_all_settings_are_alive():
    seen, _ = told(stop=None)
    assert {p.settings_alive for p in seen} == {27}
    assert "81/81 trials" in sentence(seen[-1], "validation_score")


def test_the_line_says_it():
    seen, _ = told()
    middle = next(p for p in seen if p.step == 9)
    text = sentence(middle, "validation_score")
    assert text.startswith("9/27 alive, to step 9, ")
    assert middle.best["step"] == 3 and f"best run {middle.best['validation_score']:.4f} at step 3, " in text
    assert f"{middle.compute:.0%} of all steps, at most 11%" in text
    last = sentence(seen[-1], "validation_score")
    assert last.startswith("1/27 settings done, best run ") and "at most" not in last
    assert seen[-1].best["step"] == 27
    assert "\n" not in text


def test_the_time_left_does_not_count_the_start_of_workers(monkeypatch, capsys):
    """30 s until the first tenth is made; then 1 s for each further tenth."""
    monkeypatch.setattr(_lines, "SECONDS_BETWEEN_LINES", 0.0)
    show, (start, *_) = Lines("validation_score"), told()[0]
    for tenths in range(5):
        share, seconds = tenths / 10, 29.0 + tenths if tenths else 0.0
        show(start._replace(share=share, share_ran=share, seconds=seconds, trials_done=0))
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(", about ")[2] for line in lines[2:]] == ["8 s left", "7 s left", "6 s left"]
    assert not any("left" in line for line in lines[:2])


def test_runs_that_are_made_again_for_their_final_states_are_not_done(tmp_path):
    seen, options = [], {"steps": 5, "store": tmp_path / "s"}
    space = {"activation": jax.nn.relu, "optimizer": optimizers.sgd(sweeps.values([0.1, 0.2]))}
    sweeps.run(small.plain(), space, **options, keep=0, progress=False)
    sweeps.run(small.plain(), space, **options, keep=1, resume=True, progress=seen.append)
    made = [p for p in seen if p.phase == "run"]
    assert [p.trials_done for p in made] == [1, 2, 2]
    assert not any("complete" in sentence(p, small.plain().objective) for p in made)


def test_a_population_is_alive_and_makes_all_steps():
    seen, _ = told(trials=None, seeds=1, stop=None, search=sweeps.population(8, every=9))
    assert {(p.settings_alive, p.settings, p.compute_limit, p.rungs) for p in seen} == {(8, 8, 1.0, 3)}
    assert list(dict.fromkeys(p.step for p in seen)) == [9, 18, 27]
    last = next(p for p in seen if p.step == 27)
    assert sentence(last, "validation_score").startswith("8/8 alive, to step 27, best run ")
    assert seen[-1].compute == pytest.approx(1.0)


def test_settings_that_a_search_has_not_proposed_yet_are_alive():
    pytest.importorskip("optuna")
    seen, results = told(search=sweeps.optuna("tpe", batch=9), stop=sweeps.halving(eta=3, first=1 / 3))
    assert next(p.settings_alive for p in seen) == 27
    alive = list(dict.fromkeys(p.settings_alive for p in seen))
    stopped = sum(s.pruned == 3 for s in results.settings())
    assert alive == sorted(alive, reverse=True) and alive[-1] == 27 - stopped - sum(
        bool(s.diverged) for s in results.settings()
    )


def test_the_bar_stays_on_one_line(monkeypatch):
    from jaxopt_lite.cli import _progress

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    seen, _ = told()
    with _progress.shown("validation_score") as show:
        for progress in seen:
            show(progress)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    lines = [line for line in re.split(r"[\r\n]+", plain) if line.strip()]
    assert lines and all(len(line) <= 80 and line.rstrip().endswith(("-:--:--", "0:00:00")) for line in lines)
    assert lines[-1].startswith("1/27 settings done, best run ")
