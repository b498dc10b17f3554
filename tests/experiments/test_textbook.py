"""The experiments on the claims of the textbook: all are there, pages follow from results, a cheap one runs again."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2] / "experiments"
TEXTBOOK = ROOT / "textbook"
CHEAP = 22  # takes about half a minute, and nothing in it depends on time


@pytest.fixture(scope="module")
def run_all() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_all", ROOT / "run_all.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_all"] = module
    spec.loader.exec_module(module)
    return module


def test_every_claim_has_an_experiment_and_a_result(run_all):
    experiments = [run_all.load(path) for path in run_all.scripts().values()]
    assert [one.number for one in experiments] == list(range(1, 26))
    assert sum(p.number for one in experiments for p in one.predictions) >= 15
    for one in experiments:
        found = run_all.facts(TEXTBOOK, one)
        page = (TEXTBOOK / one.page).read_text(encoding="utf-8")
        assert found["number"] == one.number and found["predictions"] == len(one.predictions)
        assert f"**{found['sentence']}** Effect: {found['effect']}." in page
        assert all(prediction.text in page for prediction in one.predictions), one.page
        assert found["sentence"].lower().startswith(found["verdict"])
    assert (TEXTBOOK / "README.md").read_text(encoding="utf-8") == run_all.index(TEXTBOOK, experiments)


def test_a_cheap_experiment_gives_its_numbers_again(run_all, tmp_path):
    command = [sys.executable, ROOT / "run_all.py", "--only", str(CHEAP), "--out", tmp_path]
    plain = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")}
    assert subprocess.run(command, env=plain).returncode == 0
    one = run_all.load(run_all.scripts()[CHEAP])
    found, committed = run_all.facts(tmp_path, one), run_all.facts(TEXTBOOK, one)
    assert found["verdict"] == committed["verdict"] and found["script"] == committed["script"]
    assert set(found["numbers"]) == set(committed["numbers"])
    for name, (value, low, high) in committed["numbers"].items():
        assert found["numbers"][name][0] == pytest.approx(value, abs=high - low + 0.02 * abs(value)), name


def test_an_experiment_runs_once(run_all, tmp_path, monkeypatch, capsys):
    from matplotlib.figure import Figure

    one, seeds = run_all.load(run_all.scripts()[1]), []

    def measure(seed, small):
        seeds.append(seed)
        outcomes = [run_all.textbook.Outcome("found a | b", np.bool_(i > 0)) for i in range(len(one.predictions))]
        numbers = {"slope": run_all.textbook.interval([1.0, 2.0, 3.0])}
        return run_all.textbook.Result(outcomes, "holds", "Holds: always.", "1", numbers, [], Figure(), "a line")

    monkeypatch.setattr(run_all, "load", lambda path: one._replace(measure=measure))
    run = ["--only", "1", "--small", "--out", str(tmp_path), "--seed", "5"]
    assert run_all.main(run) == run_all.main(run) == 0
    assert seeds == [5] and "up to date" in capsys.readouterr().out
    assert run_all.main([*run, "--again"]) == 0 and seeds == [5, 5]
    facts = run_all.facts(tmp_path, one)
    assert facts["seed"] == 5 and facts["predictions_right"] == len(one.predictions) - 1
    value, low, high = facts["numbers"]["slope"]
    assert (value, low, high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
    page = (tmp_path / one.page).read_text(encoding="utf-8")
    assert "found a \\| b | **no** |" in page and page.count("| yes |") == len(one.predictions) - 1


def test_another_verdict_with_other_seeds_is_reported(run_all, tmp_path, monkeypatch, capsys):
    from matplotlib.figure import Figure

    one = run_all.load(run_all.scripts()[1])
    outcomes = [run_all.textbook.Outcome("", True)] * len(one.predictions)
    result = run_all.textbook.Result(outcomes, "does not hold", "Does not hold.", "1", {}, [], Figure(), "")
    monkeypatch.setattr(run_all, "load", lambda path: one._replace(measure=lambda seed, small: result))
    assert run_all.main(["--only", "1", "--out", str(tmp_path), "--seed", "5"]) == 1
    assert "the committed verdict is 'holds'" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message", [(["--only", "99"], "no such experiment"), (["--small"], "needs --out FOLDER")]
)
def test_wrong_arguments(run_all, arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_all.main(arguments)
    assert message in capsys.readouterr().err
