"""The layout of an accelerator (several devices, wide chunks, no merging, vmapped starts), on simulated CPU devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations, optimizers, sweeps, training
from tests.sweeps import small

STEPS, SEEDS = 40, 3


def swept(layout, task=None, **options):
    task = task or small.task()
    return sweeps.run(task, small.space(), seeds=SEEDS, steps=STEPS, layout=layout, progress=False, **options)


@pytest.fixture(scope="module")
def default():
    return swept(None)


@pytest.fixture(scope="module")
def accelerator():
    assert len(jax.devices()) >= 2
    return sweeps.Layout(devices=tuple(jax.devices()), width=8, merge=False, vmap_start=True)


def test_several_devices_share_the_chunks(accelerator):
    planned = sweeps.plan(small.task(), small.space(), seeds=SEEDS, steps=STEPS, layout=accelerator)
    assert planned.workers == len(planned.devices) == len(jax.devices())
    assert [planned.widths[nth] for nth in planned.used] == [8, 8]
    assert planned.chunks == [2, 2]


def test_an_accelerators_layout_gives_the_results_of_the_default(default, accelerator):
    found = swept(accelerator)
    assert found.columns["status"] == default.columns["status"]
    for name in ("train_loss", "test_loss", "test_accuracy"):
        np.testing.assert_allclose(found.columns[name], default.columns[name], rtol=1e-3)
    for curve, expected in zip(found.curves, default.curves, strict=True):
        np.testing.assert_allclose(curve["loss"], expected["loss"], rtol=1e-3)


def test_the_number_of_devices_changes_no_bit(accelerator):
    layouts = accelerator, accelerator._replace(devices=jax.devices()[:1])
    several, one = (swept(layout, small.plain()) for layout in layouts)
    assert small.columns(several) == small.columns(one)


def test_the_accelerators_layout_as_an_argument():
    layout = sweeps.Layout(backend="accelerator").resolved(mergeable=True)
    assert layout.devices == tuple(jax.local_devices())
    assert (layout.merge, layout.vmap_start, layout.backend) == (False, True, "accelerator")
    planned = sweeps.plan(small.plain(), small.space(), seeds=4, steps=STEPS, layout=layout)
    assert [planned.widths[nth] for nth in planned.used] == [16, 16]  # 3 rates with 4 seeds, in multiples of 8
    assert planned.workers == len(jax.devices())
    given = sweeps.Layout(devices=jax.devices()[:1], merge=True, vmap_start=False, backend="accelerator")
    assert given.resolved(mergeable=True) == given._replace(devices=(jax.devices()[0],))


def test_several_devices_trace_no_more_than_one():
    traces = []

    def init(trial, key):
        traces.append(1)
        return plain.init(trial, key)

    plain = small.plain()
    counts = []
    for devices in (1, len(jax.devices())):
        layout = sweeps.Layout(devices=tuple(jax.devices()[:devices]), width=1)
        found = sweeps.run(plain._replace(init=init), small.space((0.1,)), seeds=8, steps=2, layout=layout)
        assert found.columns["status"] == ["done"] * 16
        counts.append(len(traces))
        traces.clear()
    assert counts[0] == counts[1] > 0


def test_merging_does_not_change_the_results():
    merged, single = (swept(sweeps.Layout(width=4, merge=merge)) for merge in (True, False))
    assert (merged.facts["structures"], single.facts["structures"]) == (2, 2)
    np.testing.assert_allclose(merged.columns["test_loss"], single.columns["test_loss"], rtol=1e-5)


def test_an_interrupted_sweep_on_several_devices_resumes_bitwise(accelerator, tmp_path):
    def interrupt(progress):
        if progress.phase == "run" and progress.trials_done:
            raise KeyboardInterrupt

    given = {"seeds": 20, "steps": STEPS, "layout": accelerator, "store": tmp_path / "s"}
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(small.plain(), small.space(), **given, progress=interrupt)
    resumed = sweeps.run(small.plain(), small.space(), **given, resume=True, progress=False)
    whole = sweeps.run(small.plain(), small.space(), **(given | {"store": None}), progress=False)
    assert small.columns(resumed) == small.columns(whole)


@pytest.mark.parametrize(
    "layout, message",
    [
        (sweeps.Layout(width=0), "at least 1"),
        (sweeps.Layout(width=2.5), "whole number"),
        (sweeps.Layout(devices=()), "one or more devices"),
        (sweeps.Layout(backend="gpu"), '"cpu" or "accelerator", got \'gpu\''),
    ],
)
def test_errors_of_layouts(layout, message):
    with pytest.raises(ValueError, match=message):
        sweeps.plan(small.task(), small.space(), steps=1, layout=layout)


def inspecting(**changes):
    """A task that looks into the optimizer and its state."""

    def init(trial, key):
        w = jnp.ones(3)
        return w, trial["optimizer"].init(w)

    def step(trial, carry, data, key):
        w, state = carry
        updates, state = trial["optimizer"].update(w, state, w)
        return (w + updates, state), {"loss": jnp.sum(w**2), "rate": optimizers.settings(state)["learning_rate"]}

    def evaluate(trial, carry, data):
        w, state = carry
        if trial["optimizer"].name.startswith("average"):
            w = optimizers.averaged(state, w)
        return {"test_loss": jnp.sum(w**2)}

    return training.Task(init, step, evaluate, None, **changes)


OPTIMIZERS = {"optimizer": sweeps.choice([optimizers.sgd(0.5), optimizers.average(optimizers.sgd(0.5))])}


def test_a_task_that_looks_into_the_optimizer_is_not_merged():
    found = sweeps.run(inspecting(), OPTIMIZERS, steps=4)
    alone = [training.run(inspecting(), {"optimizer": tx}, steps=4) for tx in OPTIMIZERS["optimizer"].alternatives]
    np.testing.assert_allclose(found.columns["test_loss"], [run.scores["test_loss"] for run in alone], rtol=1e-6)
    assert found.columns["test_loss"][0] != found.columns["test_loss"][1]
    np.testing.assert_allclose(found.curves[0]["rate"], 0.5)


def test_errors_of_merging():
    with pytest.raises(ValueError, match="merge=True in the Task"):
        sweeps.plan(inspecting(), OPTIMIZERS, steps=1, layout=sweeps.Layout(merge=True))

    def build(trial, rngs):
        assert trial["optimizer"].name in ("sgd", "adam")
        return small.Net(activations.tanh, rngs)

    task = training.supervised(build, small.data(), batch_size=8)
    with pytest.raises(AttributeError, match=r"uses 'name' .*Layout\(merge=False\)"):
        sweeps.run(task, small.space(), steps=2, layout=sweeps.Layout(merge=True))
    assert len(sweeps.run(task, small.space(), steps=2, layout=sweeps.Layout(merge=False))) == 6


def test_the_directions_of_scores_are_stored(tmp_path):
    swept(None, store=tmp_path / "s")
    expected = {"train_loss": "min", "test_loss": "min", "train_accuracy": "max", "test_accuracy": "max"}
    assert sweeps.Results.load(tmp_path / "s").modes == expected
    assert sweeps.run(inspecting(modes={"regret": "max"}), OPTIMIZERS, steps=2).modes == {
        "test_loss": "min",
        "regret": "max",
    }
    with pytest.raises(ValueError, match='"min" or "max"'):
        sweeps.plan(inspecting(modes={"regret": "up"}), OPTIMIZERS, steps=2)
