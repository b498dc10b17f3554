"""Structure and data: which trials share a program."""

import jax
import numpy as np
import pytest

from jaxopt_lite import activations, optimizers
from jaxopt_lite.sweeps.programs._group import Groups, stacked


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
    groups = Groups(trials)
    assert [groups.assign(one)[0] for one in trials] == [0, 0, 1, 2, 3, 4, 4]


def test_optimizers_of_different_structure_merge_by_default():
    trials = [trial(activations.relu, tx) for tx in (optimizers.sgd(0.1), optimizers.adam(0.1), optimizers.sgd(0.2))]
    groups = Groups(trials)
    assert [groups.assign(one)[1].branches for one in trials] == [(0,), (1,), (0,)]
    assert [group.structures for group in groups.groups] == [2]
    apart = Groups(trials, merge=False)
    assert [apart.assign(one)[0] for one in trials] == [0, 1, 0]


def test_a_member_is_rebuilt_with_its_numbers():
    trials = [
        trial(
            activations.bind(activations.leaky_relu, negative_slope=0.25), optimizers.sgd(0.5, momentum=0.9), rate=3.0
        ),
        trial(activations.bind(activations.leaky_relu, negative_slope=0.75), optimizers.adam(0.125), rate=4.0),
    ]
    groups = Groups(trials)
    for nth, one in enumerate(trials):
        _, member = groups.assign(one)
        again = groups.groups[0].rebuilt(member.branches, member.numbers)
        either = again["optimizer"]
        assert either.alternatives[member.branches[0]] == trials[nth]["optimizer"]
        assert again["activation"] == trials[nth]["activation"]
        assert again["rate"] == trials[nth]["rate"]


def test_columns_are_padded_with_the_last_member():
    trials = [trial(activations.relu, optimizers.sgd(float(i))) for i in range(3)]
    groups = Groups(trials)
    (rates,) = stacked([groups.assign(one)[1] for one in trials], 5)
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, [0, 1, 2, 2, 2])


def test_a_leaf_that_cannot_be_compared_is_named():
    class Odd:
        __hash__ = None

    with pytest.raises(TypeError, match="neither a number nor hashable"):
        Groups([{"odd": Odd(), "optimizer": optimizers.sgd(0.1)}])


def test_arrays_are_data_by_shape():
    trials = [{"scale": np.ones(3)}, {"scale": np.zeros(3)}, {"scale": np.zeros(4)}, {"scale": jax.numpy.ones(3)}]
    assert len(Groups(trials).groups) == 2
