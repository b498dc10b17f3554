"""Results for the reports, written and read back through the real ledger."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxopt_lite.sweeps import Results
from jaxopt_lite.sweeps.store._ledger import Ledger, Outcome, Row

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def grid(**columns: Any) -> list[dict[str, Any]]:
    """Every combination of some columns' values."""
    return [dict(zip(columns, values, strict=True)) for values in itertools.product(*columns.values())]


def hump(row: Row) -> float:
    """An accuracy that is best, 0.95, at a learning rate of 0.01; seeds differ by 0.01."""
    away = np.log10(row.columns.get("learning_rate") or 0.01) + 2
    return float(0.95 - 0.2 * min(abs(away), 4) / 4 + 0.01 * (row.seed - 1))


@pytest.fixture
def swept(tmp_path: Path) -> Callable[..., Results]:
    """A function that makes results: `swept(cells, seeds=3, fate=..., score=..., others=..., **facts)`.

    `fate(row)` is the status of a run, `score(row)` its objective, `others(row)` further scores.
    """
    made = itertools.count()

    def results(
        cells: list[dict[str, Any]],
        seeds: int = 3,
        fate: Callable[[Row], str] = lambda row: "done",
        score: Callable[[Row], float] = hump,
        others: Callable[[Row], dict[str, float]] = lambda row: {},
        **facts: Any,
    ) -> Results:
        rows = [Row(i * seeds + k, cell, k, "waiting", 0, i) for i, cell in enumerate(cells) for k in range(seeds)]
        facts = {
            "task": "digits",
            "objective": "test_accuracy",
            "mode": "max",
            "steps": 50,
            "stride": 5,
            "seeds": list(range(seeds)),
            "columns": list(cells[0]),
            "settings": len(cells),
            "structures": 2,
            "programs": 2,
            "compile_seconds": 5.0,
            "run_seconds": 2.0,
            "versions": {"jax": "0.10.2"},
            "device": "cpu: cpu",
            "workers": 2,
        } | facts
        store = tmp_path / f"store{next(made)}"
        ledger = Ledger.create(store, facts, rows)
        ledger.record([_outcome(row, fate(row), score, others, facts) for row in rows if fate(row) != "waiting"])
        ledger.close()
        return Results.load(store)

    return results


def _outcome(
    row: Row,
    status: str,
    score: Callable[[Row], float],
    others: Callable[[Row], dict[str, float]],
    facts: dict[str, Any],
) -> Outcome:
    steps, stride = facts["steps"], facts["stride"]
    step = steps if status == "done" else 2 * stride
    means = np.exp(-np.arange(-(-steps // stride)) / 2) * (1 + 0.1 * row.seed)
    if status == "diverged":
        means[1:] = np.nan
    scores = {facts["objective"]: score(row), "test_loss": 1 - score(row), **others(row)} if status == "done" else {}
    arrays = [np.zeros(1)] if status == "running" else None
    error = "ValueError: no" if status == "failed" else None
    return Outcome(row.id, status, step, scores, {"loss": means}, arrays, error=error)


@pytest.fixture
def mixed(swept: Callable[..., Results]) -> Results:
    """Two activations, two optimizers, five rates; adam at the highest diverges with relu, with tanh in one seed."""

    def fate(row: Row) -> str:
        hot = row.columns["learning_rate"] == 1.0 and row.columns["optimizer"] == "adam"
        return "diverged" if hot and (row.columns["activation"] == "relu" or row.seed == 1) else "done"

    def score(row: Row) -> float:
        # tanh is better by 0.004 in the mean, but not with every seed
        better = 0.004 + 0.01 * ((row.seed + 1) % 3 - row.seed) if row.columns["activation"] == "tanh" else 0.0
        return hump(row) + better - 0.1 * (row.columns["optimizer"] == "sgd")

    cells = grid(activation=["relu", "tanh"], optimizer=["sgd", "adam"], learning_rate=RATES)
    return swept(cells, fate=fate, score=score)
