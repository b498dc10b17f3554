"""The flag --diagnose of the sweep command."""

import json
from pathlib import Path
from typing import Any

from jaxopt_lite import sweeps

BY_HAND = """
import jax.numpy as jnp
from jaxopt_lite.training import Task
task = Task(
    lambda trial, key: (jnp.ones(2), trial["optimizer"].init(jnp.ones(2))),
    lambda trial, carry, data, key: (carry, {"loss": (carry[0] ** 2).sum()}),
    lambda trial, carry, data: {"test_loss": carry[0].sum()},
    None,
)
"""


def test_reasons_are_recorded_and_shown(command: Any, tmp_path: Path) -> None:
    arguments = ["--activation", "relu", "--optimizer", "sgd", "--learning-rate", "1e-5,0.5", "--steps", "60"]
    status, out, err = command("sweep", "spirals", *arguments, "--seeds", "1", "--diagnose", "--store", "s", "--json")
    assert status == 0, err
    assert json.loads(out)["done"] == 2
    (reason,) = sweeps.Results.load(tmp_path / "s").reasons()
    assert reason.cause == "rate"
    assert "Why the others lost" in (tmp_path / "s" / "report.html").read_text()
    status, out, err = command("sweep", "--store", "s", "--resume", "--json")
    assert (status, json.loads(out)["trials_run"]) == (0, 0), err


def test_a_task_that_does_not_show_its_layers(command: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BY_HAND)
    status, _, err = command("sweep", "mine.py:task", "--optimizer", "sgd", "--diagnose", "--store", "s")
    assert status == 2
    assert "--diagnose: nothing is known of the layers of mine.py:task; make the task with training.supervised" in err
    assert not (tmp_path / "s").exists()
