"""Reports of a real sweep: the facts in its store are those that the reports read."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import report, sweeps, training


def descent(data: Any) -> training.Task:
    """Gradient descent on a parabola, started at the same point with every seed."""

    def step(trial: Any, w: Any, data: Any, key: Any) -> Any:
        return w - trial["learning_rate"] * w, {"loss": w**2}

    def evaluate(trial: Any, w: Any, data: Any) -> Any:
        return {"height": w**2, "distance": jnp.abs(w), "speed": trial["learning_rate"]}

    return training.Task(
        lambda trial, key: jnp.float32(1), step, evaluate, data, "parabola", "height", "min", {"speed": "max"}
    )


@pytest.mark.parametrize(("data", "advised"), [(None, False), (np.zeros(1, np.float32), True)])
def test_advice_about_new_data_needs_data(data: Any, advised: bool, tmp_path: Path) -> None:
    space = {"learning_rate": sweeps.log_uniform(1e-3, 0.5)}
    results = sweeps.run(descent(data), space, trials=12, steps=4, store=tmp_path / "store", progress=False)
    text = report.page(results, tmp_path / "page.html").read_text()
    assert "2 programs for 1 structure, compiled in" in text  # one to start, one to train
    assert ("measure it again on data that the sweep did not use" in text) == advised
    assert 'data-first="descending"><button type="button">speed<' in text
    assert 'data-first="ascending"><button type="button">distance<' in text
