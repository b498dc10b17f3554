"""The page of measured figures: the exact figures, how time is measured, and that sentences follow from figures."""

import math

import jax
import jax.numpy as jnp
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.bench import OPTIMIZER_SECTIONS, optimizers, render_optimizers
from jaxopt_lite.bench import _optimizer_facts as facts
from jaxopt_lite.bench import _optimizer_times as times
from jaxopt_lite.bench._optimizers import Sizes
from jaxopt_lite.bench._optimizers_page import count
from jaxopt_lite.bench._optimizers_verdict import losses, predictions


@pytest.mark.parametrize("name", facts.catalogue_pairs())
def test_a_donated_step_reuses_its_memory_and_needs_no_other(name):
    figures = facts.compiled_facts(facts.pairs()[name][0], 1 << 14)
    assert figures["aliased"] == 1
    assert figures["temporary"] < 0.1


def primitives(jaxpr, inside=False):
    """The primitives of a program that run unconditionally, or those inside its conditions."""
    for equation in jaxpr.eqns:
        conditional = equation.primitive.name in ("cond", "while")
        if not conditional and not inside:
            yield equation.primitive.name
        for parameter in equation.params.values():
            for part in parameter if isinstance(parameter, tuple) else (parameter,):
                part = getattr(part, "jaxpr", part)
                if hasattr(part, "eqns"):
                    if conditional and inside:
                        yield from primitives(part)
                    elif not conditional or inside:
                        yield from primitives(part, inside)


def test_an_idle_micro_step_does_not_run_the_optimizer():
    params = jnp.ones(8)
    alone = opt.adamw(1e-3)
    assert {"sqrt", "rsqrt"} & set(primitives(jax.make_jaxpr(alone.update)(params, alone.init(params), params).jaxpr))
    tx = opt.accumulate(alone, 4)
    program = jax.make_jaxpr(tx.update)(params, tx.init(params), params).jaxpr
    assert not {"sqrt", "rsqrt"} & set(primitives(program))
    assert {"sqrt", "rsqrt"} & set(primitives(program, inside=True))
    assert facts.compiled_facts(tx, 1 << 14)["temporary"] <= 4


def test_traces_name_what_is_compared():
    table = facts.traces()
    assert {ours for ours, _ in table.values() if ours is not None} == {1}
    assert table["its `update` is a static argument"][1] == 8
    assert table["built inside jit from traced numbers"][1] == 1
    assert table["settings in the state (ours: as always; optax: `inject_hyperparams`)"][1] == 1
    assert table["the transform is an argument"][1] is None


class Clock:
    """A clock that the runs advance."""

    now = 0.0

    def __call__(self):
        return self.now

    def run(self, seconds):
        def step():
            self.now += next(steps)

        steps = iter(seconds)
        return step


def test_medians_are_those_of_the_counted_rounds():
    clock = Clock()
    runs = {"ours": clock.run([50.0, 1.0, 9.0, 2.0]), "rival": clock.run([50.0, 8.0, 4.0, 1.0])}
    assert times.medians(runs, 3, clock) == {"ours": 2.0, "rival": 4.0}


def test_idle_and_emitting_micro_steps_are_timed_apart(monkeypatch):
    clock = Clock()
    durations = [iter([5.0, 50.0] + [1.0, 4.0] * 2), iter([5.0, 50.0] + [3.0, 7.0] * 2)]
    monkeypatch.setattr(times, "running", lambda *_: clock.run(durations.pop(0)))
    monkeypatch.setattr(times, "axpy", lambda *_: clock.run([0.5] * 6))
    assert times.accumulation(4, 2, clock) == {
        "ours": {"idle": 1.0, "emitting": 4.0, "axpy": 0.5},
        "optax": {"idle": 3.0, "emitting": 7.0, "axpy": 0.5},
    }


def test_the_page_of_one_section():
    seen = []
    figures = optimizers(only=["state"], progress=seen.append)
    assert seen == ["state (1 of 1)"]
    assert figures["state"]["compress(adam)"] < 2.1
    page = render_optimizers(figures)
    assert "| compress(adam) | 2.00" in page
    assert "keeps at most 2.1 bytes per entry | 2.00" in page
    assert "No measured row is slower or larger" in page
    with pytest.raises(ValueError, match="unknown section 'stat': did you mean 'state'"):
        optimizers(only=["stat"])


def test_small_measurements_render():
    sizes = Sizes(large=1 << 10, repeats=1)
    figures = {
        "machine": {"device": "cpu", "load": "0.0", "versions": "jax"},
        "sizes": sizes._asdict(),
        "large": times.large_leaf(1 << 10, 1, ["adam"]),
        "small": times.small_tree(1, ["sgd"]),
        "accumulate": times.accumulation(1 << 10, 1),
        "rows": times.embedding(100, 4, 16, 1),
        "half": times.half_precision(1 << 10, 1),
    }
    page = render_optimizers(figures)
    for title in ("A large leaf", "A small tree", "Micro-steps", "Rows", "Low precision"):
        assert f"## {title}" in page
    assert "One leaf of 1 Ki entries" in page
    assert set(figures) - {"machine", "sizes"} <= set(OPTIMIZER_SECTIONS)


LARGE = {
    "sgd": {"ours": 1.38, "optax": 1.0, "torch": 0.92, "limit": 0.9},
    "adam": {"ours": 1.0, "optax": 1.0, "torch": None, "limit": 0.9},
    "lion": {"ours": 0.4, "optax": 1.0, "limit": 0.4},
}


def test_every_slower_row_is_named_with_its_ratio():
    assert losses({"large": LARGE}) == {
        "time on a large leaf, over optax's": ["sgd 1.38"],
        "time on a large leaf, over torch's": ["sgd 1.50"],
    }
    micro = {"ours": {"idle": 1.0, "emitting": 3.0, "axpy": 0.5}, "optax": {"idle": 2.0, "emitting": 2.0, "axpy": 0.5}}
    assert losses({"accumulate": micro}) == {"time of a micro-step, over that of optax.MultiSteps": ["emitting 1.50"]}
    both = {"bytes": 80.0, "flops": 1.0, "temporary": 4.0, "state": 8.0}
    compiled = {"guard": {"ours": both, "optax": both | {"bytes": 58.0, "temporary": 0.0}}}
    assert losses({"facts": compiled}) == {
        "bytes per entry of the compiled step, over optax's": ["guard 1.38"],
        "temporary per entry of the compiled step, over optax's": [f"guard {math.inf:.2f}"],
    }


def test_predictions_are_checked_against_the_figures():
    (((_, measured, holds)),) = predictions({"large": LARGE})
    assert not holds
    assert measured == "at most 1.38 × optax (sgd); at most 1.50 × torch (sgd)"
    (((_, _, holds)),) = predictions({"large": {"adam": LARGE["adam"]}})
    assert holds


@pytest.mark.parametrize("entries, text", [(1 << 25, "32 Mi"), (1 << 10, "1 Ki"), (1000, "1,000")])
def test_numbers_of_entries_in_words(entries, text):
    assert count(entries) == text
