"""Experiment 04 on a few of its cases: verdicts are right, a remedy cures, and the page follows from them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "04_diagnosis.py"


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    import sys

    spec = importlib.util.spec_from_file_location("experiment_04", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["experiment_04"] = module
    spec.loader.exec_module(module)
    return module


def test_there_are_ten_healthy_networks_and_six_of_each_trouble(experiment: ModuleType) -> None:
    truths = [case.truth for case in experiment.CASES]
    troubles = ("vanishing", "exploding", "dead", "saturated", "collapsed")
    assert {name: truths.count(name) for name in truths} == {"healthy": 10, **dict.fromkeys(troubles, 6)}
    for name in truths:
        nets = [case.net for case in experiment.CASES if case.truth == name]
        assert {net.api for net in nets} == {"nnx", "linen"} and {net.conv for net in nets} == {False, True}


def test_the_page_follows_from_verdicts_and_cures(experiment: ModuleType, tmp_path: Path) -> None:
    chosen = {1: "healthy", 24: "dead", 36: "collapsed"}
    assert experiment.main(["--out", str(tmp_path), "--only", ",".join(map(str, chosen))]) == 0
    text = (tmp_path / "04-diagnosis.md").read_text()
    assert "| At least 95 % of 3 verdicts are right. | 3 | yes |" in text
    assert "| No healthy network gets another verdict. | 0 of 1 | yes |" in text
    assert "learn, which do not learn without it. | 2 | yes |" in text
    for number, verdict in chosen.items():
        assert (
            f"| {experiment.CASES[number].what} | {experiment.CASES[number].net.api} | {verdict} | {verdict} |" in text
        )
    assert (
        "`activation = act.leaky_relu`<br>`x = (x - x.mean(0, keepdims=True)) / (x.std(0, keepdims=True) + 1e-6)`"
        in text
    )
