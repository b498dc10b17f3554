"""How wide a chunk is."""

import math
from functools import partial

import jax
import pytest

from jaxopt_lite import activations, optimizers, sweeps
from jaxopt_lite.sweeps.programs._executables import Lowered
from jaxopt_lite.sweeps.programs._width import accelerator_width, bytes_of, cpu_width
from tests.sweeps import small


@pytest.mark.parametrize(
    "bytes_a_trial, width", [(1, 16), (6_000, 16), (20_000, 4), (41_000, 2), (170_000, 2), (180_000, 1), (1 << 30, 1)]
)
def test_on_a_cpu_small_trials_are_wide_and_large_ones_fit_the_cache(bytes_a_trial, width):
    assert cpu_width(bytes_a_trial) == width


def test_on_an_accelerator_memory_is_filled_but_not_beyond_the_trials():
    def linear(width):
        return 1000 + width * 10_000_000

    wide = accelerator_width(linear, 80 << 30, 100_000)
    assert wide == 4096
    analysed = []
    assert accelerator_width(lambda width: analysed.append(width) or linear(width), 80 << 30, 24) == 24
    assert analysed == [24]  # the program that then runs, and no other
    assert accelerator_width(linear, 80 << 30, 100) == 104
    tight = accelerator_width(linear, 1 << 30, 100_000)
    assert tight % 8 == 0
    assert 0.8 * (1 << 30) < 1.15 * (linear(tight) + 25e6) <= 1 << 30
    assert accelerator_width(linear, 30_000_000, 100) == 1
    # data of 60 GB leave room for 10 GB of trials
    assert 900 < accelerator_width(lambda width: 60 * 10**9 + linear(width), 80 << 30, 100_000) < 1500


@pytest.mark.parametrize("widest, width", [(64, 64), (40, 32), (15, 8), (8, 8), (5, 4), (2, 2), (1, 1), (0, 1)])
def test_a_program_that_does_not_compile_for_lack_of_memory_does_not_fit(widest, width):
    """Memory as the analysis has it would hold more."""

    def needed(asked):
        return 10_000_000 * asked if asked <= widest else math.inf

    memory = int(1.15 * (10_000_000 * 32 + 25e6)) + 1
    assert accelerator_width(needed, memory if widest == 40 else 80 << 30, 64) == width


@pytest.mark.parametrize("message", ["RESOURCE_EXHAUSTED: Out of memory", "INTERNAL: a defect"])
def test_an_error_of_the_compiler_is_lack_of_memory_or_one_of_the_structure(message, monkeypatch):
    compiled = Lowered.compiled

    def compiled_if_narrow(lowered):
        if lowered.program.in_avals[0][2].shape[0] > 8:
            raise jax.errors.JaxRuntimeError(message)
        return compiled(lowered)

    monkeypatch.setattr(Lowered, "compiled", compiled_if_narrow)
    layout = sweeps.Layout(backend="accelerator")
    widths = sweeps.plan(small.plain(), small.space(), seeds=20, steps=1, layout=layout).widths
    if message.startswith("INTERNAL"):
        assert (widths[0], str(widths.errors[0])) == (1, message)
    else:
        assert (widths[0], widths.errors) == (8, {})


def test_the_width_does_not_depend_on_other_trials():
    alone = {
        "activation": small.space()["activation"],
        "optimizer": sweeps.choice([small.space()["optimizer"].alternatives[0]]),
    }
    both = sweeps.plan(small.task(), small.space(), steps=1).widths[0]
    assert sweeps.plan(small.task(), alone, steps=1).widths[0] == both


def test_on_an_accelerator_a_chunk_has_the_runs_of_one_structure(monkeypatch):
    monkeypatch.setattr("jaxopt_lite.sweeps.programs._width.cpu_width", lambda _: pytest.fail("not asked for"))
    counted = {}

    def width_of(task, group, layout, runs):
        return counted.setdefault(id(group), runs)

    monkeypatch.setattr("jaxopt_lite.sweeps.programs._width.width_of", width_of)
    layout = sweeps.Layout(merge=False)
    grid = sweeps.plan(small.task(), small.space(), seeds=4, steps=7, layout=layout)
    assert {grid.widths[nth] for nth in grid.used} == {12} and grid.runs == 24 and len(grid.used) == 2
    raced = sweeps.plan(small.task(), small.space(), seeds=4, steps=9, layout=layout, stop=sweeps.halving(race=True))
    assert {raced.widths[nth] for nth in raced.used} == {3}  # the first seed alone begins
    space = {**small.space(), "optimizer": optimizers.sgd(sweeps.log_uniform(0.01, 1))}
    asked = sweeps.plan(small.task(), space, trials=40, seeds=2, steps=7, layout=layout, search="tpe")
    assert asked.widths[0] == 2 * len(asked.points)


def test_a_sweep_that_grows_keeps_its_widths(tmp_path, monkeypatch):
    """As on an accelerator, where the width of a chunk follows the number of runs."""
    monkeypatch.setattr("jaxopt_lite.sweeps.programs._width.width_of", lambda task, group, layout, runs: runs)
    given = {"store": tmp_path / "s", "progress": False, "layout": sweeps.Layout(merge=True)}
    run = partial(sweeps.run, small.task(), small.space(), steps=3, **given)
    before = run(seeds=2)
    grown = run(seeds=3, extend=True)
    assert grown.facts["group_widths"] == before.facts["group_widths"] == {"0": 6}
    assert [row for row in grown.rows() if row["seed"] < 2] == before.rows()


def test_a_sweep_may_grow_into_a_structure_that_has_not_run(tmp_path):
    space = {"activation": sweeps.choice([activations.tanh, activations.relu]), "optimizer": optimizers.sgd(0.1)}
    run = partial(sweeps.run, small.task(), space, steps=3, search="random", store=tmp_path / "s", progress=False)
    before = run(trials=1)
    grown = run(trials=2, extend=True)
    assert len({row["activation"] for row in grown.rows()}) == 2 and len(before) == 1
    assert grown.rows()[0] == before.rows()[0]


def test_bytes_are_those_of_the_arrays():
    shapes = {"a": jax.ShapeDtypeStruct((3, 5), "float32"), "b": jax.ShapeDtypeStruct((), "int32")}
    assert bytes_of(shapes) == 64


def test_the_text_of_a_plan():
    planned = sweeps.plan(small.task(), small.space(), seeds=4, steps=7, layout=sweeps.Layout(backend="cpu"))
    assert planned.runs == 24
    assert planned.chunks == [2]
    text = str(planned)
    assert "6 settings × 4 seeds = 24 runs" in text
    assert "1 training program for 2 structures" in text


def test_the_estimate_counts_the_matrix_products(small_products):
    found = sweeps.estimate(sweeps.plan(small.task(), small.space(), seeds=4, steps=100))
    # forward, and backward but for the input: 2·8·(4·8) twice, 2·8·(8·3) three times
    products = 2 * 8 * (4 * 8) * 2 + 2 * 8 * (8 * 3) * 3
    assert products < found["gflop"] * 1e9 / (24 * 100) < 3 * products
    assert 0 < found["seconds"][0] < found["seconds"][1]
