"""The page of measured figures: what needs no clock holds, and what is rendered is what was measured."""

import jax.numpy as jnp
import pytest

from jaxopt_lite.bench import _optimizer_facts as facts
from jaxopt_lite.bench import _optimizer_times as times
from jaxopt_lite.bench._optimizers import OPTIMIZER_SECTIONS, optimizers, render_optimizers
from jaxopt_lite.optimizers import CATALOGUE


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_donated_step_reuses_all_and_needs_nothing(name: str) -> None:
    figures = facts.compiled_facts(facts.pairs()[name][0], 1 << 14)
    assert figures["aliased"] == 1
    assert figures["temporary"] < 0.1


def test_accumulate_is_cheap() -> None:
    assert facts.waiting_flops()["ours"] <= 3.01
    figures = facts.compiled_facts(facts.pairs()["accumulate(adamw, 4)"][0], 1 << 14)
    assert figures["temporary"] <= 4


def test_traces() -> None:
    assert {ours for ours, _ in facts.traces().values()} == {1}


def test_state_and_page() -> None:
    seen: list[str] = []
    figures = optimizers(only=["state"], progress=seen.append)
    assert seen == ["state"] and figures["state"]["compress(adam)"] < 2.2
    page = render_optimizers(figures)
    assert "compress(adam) | 2.00" in page and "jax" in page
    with pytest.raises(ValueError, match="unknown section 'stat': did you mean 'state'"):
        optimizers(only=["stat"])


def test_small_measurements_render() -> None:
    figures = {
        "machine": optimizers(only=[])["machine"],
        "large": times.large_leaf(1 << 10, 1, ["adam"]),
        "small": times.small_tree(1, ["sgd"]),
        "accumulate": times.accumulation(1 << 10, 1),
        "rows": times.embedding(100, 4, 16, 1),
        "half": times.half_precision(1 << 10, 1),
    }
    page = render_optimizers(figures)
    for title in ("A large leaf", "A small tree", "Rows", "Low precision"):
        assert f"## {title}" in page
    assert set(figures) - {"machine"} <= set(OPTIMIZER_SECTIONS)
    assert jnp.isfinite(figures["rows"]["rows"])
