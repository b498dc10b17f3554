"""The experiments on the claims of the textbook: all are there, pages follow from results, a cheap one runs again."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2] / "experiments"
TEXTBOOK = ROOT / "textbook"
# Experiments whose numbers do not depend on timing or long training.
CHEAP = (1,)


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


@pytest.mark.parametrize("number", CHEAP)
def test_a_cheap_experiment_gives_its_numbers_again(run_all, number, tmp_path):
    assert run_all.main(["--only", str(number), "--out", str(tmp_path)]) == 0
    one = run_all.load(run_all.scripts()[number])
    found, committed = run_all.facts(tmp_path, one), run_all.facts(TEXTBOOK, one)
    assert found["verdict"] == committed["verdict"]
    for name, (value, low, high) in committed["numbers"].items():
        room = (high - low) + 0.02 * abs(value)
        assert found["numbers"][name][0] == pytest.approx(value, abs=room), name


def test_an_experiment_runs_once(run_all, tmp_path, monkeypatch, capsys):
    calls = []
    measure = run_all.load(run_all.scripts()[1]).measure

    def counted(seed, small):
        calls.append(seed)
        return measure(seed, small)

    load = run_all.load
    monkeypatch.setattr(run_all, "load", lambda path: load(path)._replace(measure=counted))
    for _ in range(2):
        assert run_all.main(["--only", "1", "--small", "--out", str(tmp_path), "--seed", "5"]) == 0
    assert calls == [5]
    assert run_all.main(["--only", "1", "--small", "--out", str(tmp_path), "--seed", "5", "--again"]) == 0
    assert calls == [5, 5]
    assert re.search("up to date", capsys.readouterr().out)
    facts = json.loads(next(tmp_path.glob("01-*.json")).read_text())
    assert facts["seed"] == 5


@pytest.mark.parametrize(
    "arguments, message", [(["--only", "99"], "no such experiment"), (["--small"], "needs --out FOLDER")]
)
def test_wrong_arguments(run_all, arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_all.main(arguments)
    assert message in capsys.readouterr().err
