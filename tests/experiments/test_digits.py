"""Experiment 01 on a tiny sweep: it runs, and its page follows from the results."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jaxopt_lite import sweeps

SCRIPT = Path(__file__).parents[2] / "experiments" / "01_digits.py"
TINY = ("--steps", "20", "--seeds", "2", "--learning-rate", "0.01,0.1")


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("experiment_01", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written(experiment: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    assert experiment.main(["--store", str(folder / "store"), "--out", str(folder), *TINY]) == 0
    return folder


def test_page_and_pictures(written: Path) -> None:
    text = (written / "01-digits.md").read_text()
    assert "× 2 learning rates from 0.01 to 0.1 × 2 seeds = 80 trainings" in text
    assert len(re.findall(r"^\| \w+ \| \w+ \| 0\.\d+ \|", text, re.MULTILINE)) == 20
    assert len(re.findall(r"\| (?:held|\*\*failed\*\*) \|$", text, re.MULTILINE)) == 5
    assert "nan" not in text and "loss not reached with sgd" in text  # 20 steps are too few for a loss of 0.3
    for picture in re.findall(r"\]\((\S+\.png)\)", text):
        assert (written / picture).stat().st_size > 10_000


def test_the_answer_follows_from_the_results(written: Path) -> None:
    results = sweeps.Results.load(written / "store")
    best, tied = results.settings()[0], results.tied()
    combinations = {
        (s.columns["activation"], s.columns["optimizer"]): s for s in results.best("activation", "optimizer")
    }
    text = (written / "01-digits.md").read_text()
    assert f"**{best.columns['activation']}, {best.columns['optimizer']}, learning rate" in text
    others = sum(setting in tied for setting in combinations.values())
    assert f"{others} of the other 19 combinations" in text


def test_an_existing_store_is_read(written: Path, experiment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> int:
        raise AssertionError("the sweep ran again")

    monkeypatch.setattr(experiment, "jaxopt_lite", fails)
    before = (written / "01-digits.md").read_text()
    assert experiment.main(["--store", str(written / "store"), "--out", str(written)]) == 0
    assert (written / "01-digits.md").read_text() == before


def test_a_failed_sweep_is_reported(tmp_path: Path, experiment: ModuleType) -> None:
    assert experiment.main(["--store", str(tmp_path / "store"), "--out", str(tmp_path), "--steps", "0"]) == 2
    assert not (tmp_path / "01-digits.md").exists()
