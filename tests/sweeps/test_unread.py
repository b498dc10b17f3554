"""A setting that has no effect on the task is refused before anything is written."""

import jax.numpy as jnp
import pytest

from jaxopt_lite import activations, optimizers, sweeps, training
from tests.sweeps import small


def task(read):
    """w falls by what `read(trial)` gives."""

    def step(trial, carry, data, key):
        return carry - 0.01 * read(trial), {"loss": carry}

    return training.Task(lambda t, k: jnp.float32(1), step, lambda t, c, d: {"test_loss": c}, None)


NUMBERS = {"rate": sweeps.log_uniform(0.1, 1.0), "other": sweeps.uniform(0.0, 1.0)}


@pytest.mark.parametrize("vmap_start", [False, True])
@pytest.mark.parametrize("name", ["rate", "other"])
def test_a_drawn_number(name, vmap_start, tmp_path):
    with pytest.raises(
        ValueError, match=f"'{({'rate', 'other'} - {name}).pop()}' has no effect on task .* its 5 values"
    ):
        sweeps.run(
            task(lambda trial: trial[name]),
            NUMBERS,
            trials=5,
            steps=3,
            store=tmp_path / "s",
            layout=sweeps.Layout(vmap_start=vmap_start),
        )
    assert not (tmp_path / "s").exists()


def test_numbers_that_are_read_by_the_start_or_by_some_alternatives_alone():
    both = task(lambda trial: trial["rate"])._replace(init=lambda trial, key: trial["other"])
    assert len(sweeps.run(both, NUMBERS, trials=5, steps=3)) == 5

    def read(trial):
        return trial["rate"] * (trial["other"] if trial["kind"] == "scaled" else 1)

    space = {**NUMBERS, "kind": sweeps.choice(["scaled", "plain"])}
    assert len(sweeps.run(task(read), space, trials=8, steps=3)) == 8


def test_alternatives():
    space = {"activation": sweeps.choice([activations.tanh, activations.sigmoid]), "rate": sweeps.values([0.5, 1.0])}
    with pytest.raises(ValueError, match=r"'activation' has no effect on task .* its 2 values"):
        sweeps.run(task(lambda trial: trial["rate"]), space, steps=3)
    read = task(lambda trial: trial["rate"] * trial["activation"](1.0))
    assert len(sweeps.run(read, space, steps=3)) == 4
    labels = {"first": jnp.ones(2), "second": jnp.zeros(2)}  # arrays of one shape are data of one program
    assert len(sweeps.run(task(lambda t: t["scale"].sum()), {"scale": sweeps.choice(labels)}, steps=3)) == 2


def test_optimizers_and_bound_activations_are_read():
    bound = activations.bind(activations.leaky_relu, negative_slope=sweeps.values([0.1, 0.2]))
    space = {
        "activation": sweeps.choice([bound, activations.relu]),
        "optimizer": sweeps.choice([optimizers.sgd(sweeps.values([0.1, 0.2])), optimizers.adam(0.1)]),
    }
    for merge in (True, False):
        found = sweeps.run(small.task(), space, steps=3, layout=sweeps.Layout(merge=merge))
        assert len(found) == 9


@pytest.mark.parametrize("use", [lambda n: [0.0] * n, lambda n: list(range(n)), lambda n: jnp.zeros(n)])
def test_a_drawn_number_that_is_needed_while_the_program_is_built(use):
    drawn = task(lambda trial: 1.0)._replace(init=lambda trial, key: jnp.float32(len(use(trial["depth"]))))
    with pytest.raises(ValueError, match=r"(?s)while its program is built.*choice\(\[.*JAX says: "):
        sweeps.plan(drawn, {"depth": sweeps.integers(1, 3)}, trials=2, steps=1).widths[0]
