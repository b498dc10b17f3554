"""Structure and data: which trials share a program."""

import jax
import numpy as np
import pytest

from jaxopt_lite import activations, optimizers
from jaxopt_lite.sweeps._group import grouped, stacked


def trial(activation, optimizer, **more):
    return {"activation": activation, "optimizer": optimizer, **more}


def test_numbers_are_data_and_all_else_is_structure():
    trials = [
        trial(activations.relu, optimizers.adam(0.1)),
        trial(activations.relu, optimizers.adam(0.2, b1=0.8)),
        trial(activations.tanh, optimizers.adam(0.1)),
        trial(activations.relu, optimizers.adam(0.1), width=32),
        trial(activations.relu, optimizers.adam(0.1), width=64),
        trial(activations.relu, optimizers.adam(0.1), rate=0.5),
        trial(activations.relu, optimizers.adam(0.1), rate=0.25),
    ]
    members = [[m.trial for m in group.members] for group in grouped(trials)]
    assert members == [[0, 1], [2], [3], [4], [5, 6]]


def test_optimizers_of_different_structure_merge_by_default():
    trials = [trial(activations.relu, tx) for tx in (optimizers.sgd(0.1), optimizers.adam(0.1), optimizers.sgd(0.2))]
    (group,) = grouped(trials)
    assert [m.branches for m in group.members] == [(0,), (1,), (0,)]
    assert group.structures == 2
    assert [[m.trial for m in g.members] for g in grouped(trials, merge=False)] == [[0, 2], [1]]


def test_a_member_is_rebuilt_with_its_numbers():
    trials = [
        trial(
            activations.bind(activations.leaky_relu, negative_slope=0.25), optimizers.sgd(0.5, momentum=0.9), rate=3.0
        ),
        trial(activations.bind(activations.leaky_relu, negative_slope=0.75), optimizers.adam(0.125), rate=4.0),
    ]
    (group,) = grouped(trials)
    for nth, member in enumerate(group.members):
        again = group.rebuilt(member.branches, member.numbers)
        either = again["optimizer"]
        assert either.alternatives[member.branches[0]] == trials[nth]["optimizer"]
        assert again["activation"] == trials[nth]["activation"]
        assert again["rate"] == trials[nth]["rate"]


def test_columns_are_padded_with_the_last_member():
    (group,) = grouped([trial(activations.relu, optimizers.sgd(float(i))) for i in range(3)])
    (rates,) = stacked(group.members, 5)
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, [0, 1, 2, 2, 2])


def test_a_leaf_that_cannot_be_compared_is_named():
    class Odd:
        __hash__ = None

    with pytest.raises(TypeError, match="neither a number nor hashable"):
        grouped([{"odd": Odd(), "optimizer": optimizers.sgd(0.1)}])


def test_arrays_are_data_by_shape():
    trials = [{"scale": np.ones(3)}, {"scale": np.zeros(3)}, {"scale": np.zeros(4)}, {"scale": jax.numpy.ones(3)}]
    assert len(grouped(trials)) == 2
