"""The leaves of a trial."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations, optimizers
from jaxopt_lite.training._trial import Fixed, is_number, with_fixed, with_scalars


def test_arrays_of_one_number_become_scalars_of_their_type():
    weak = jnp.asarray(0.5)
    assert weak.weak_type
    trial = {
        "strong": jnp.float16(0.5),
        "weak": weak,
        "numpy": np.array(0.5, np.float32),
        "vector": jnp.ones(2),
        "key": jax.random.key(0),
        "others": (0.5, "name", 3, None),
        "activation": activations.bind(activations.leaky_relu, negative_slope=jnp.float32(0.5)),
        "optimizer": optimizers.sgd(jnp.float32(0.5)),
    }
    found = with_scalars(trial)
    types = {"strong": np.float16, "weak": float, "numpy": np.float32}
    assert {name: type(found[name]) for name in types} == types
    assert type(found["activation"].settings["negative_slope"]) is np.float32
    assert {found[name] for name in types} == {0.5}
    for name in ("vector", "key", "optimizer"):
        assert found[name] is trial[name]
    assert found["others"] == trial["others"]


@pytest.mark.parametrize(
    "value, expected",
    [(np.int64(8), 8), (np.float32(0.5), Fixed(0.5)), (np.float64(0.5), Fixed(0.5)), (np.bool_(True), True)],
)
def test_numpy_scalars_in_plain_places_are_static(value, expected):
    found = with_fixed({"plain": [value], "optimizer": optimizers.sgd(np.float32(0.5))})
    assert (type(found["plain"][0]), found["plain"][0]) == (type(expected), expected)
    assert not is_number(found["plain"][0])
    assert is_number(jax.tree.leaves(found["optimizer"])[0])
