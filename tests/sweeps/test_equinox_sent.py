"""Equinox modules of the main program, which are sent to workers by value, are pytrees there too."""

import pickle
import sys
import weakref
from typing import Any

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite.sweeps.execution._pickle import dumps

eqx = pytest.importorskip("equinox")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What another process gets: in this one, cloudpickle would find the classes again."""

    def send(value: Any) -> Any:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        try:
            text = dumps(value)
        finally:
            cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        with monkeypatch.context() as other:
            tracked = {"_DYNAMIC_CLASS_TRACKER_BY_ID": weakref.WeakValueDictionary()}
            tracked["_DYNAMIC_CLASS_TRACKER_BY_CLASS"] = weakref.WeakKeyDictionary()
            for name, empty in tracked.items():
                other.setattr(cloudpickle.cloudpickle, name, empty)
            return pickle.loads(text)

    return send


class Base(eqx.Module):
    weight: jax.Array
    scale: float = eqx.field(static=True, default=2.0)

    def __init__(self, size: int) -> None:
        self.weight = jnp.ones(size)

    def __call__(self, x: Any) -> Any:
        return self.scale * self.weight @ x


class Inherits(Base):
    shift: jax.Array

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.shift = jnp.ones(())

    def __call__(self, x: Any) -> Any:
        return super().__call__(x) + self.shift


class SameInit(Base):
    def __call__(self, x: Any) -> Any:
        return -super().__call__(x)


class Generated(eqx.Module):
    """A module with the `__init__` of a dataclass."""

    weight: jax.Array = eqx.field(converter=jnp.asarray)
    act: Any = eqx.field(static=True, default=jnp.tanh)
    bias: float = 0.5

    def __call__(self, x: Any) -> Any:
        return self.act(self.weight @ x + self.bias)


MODULES = {Base: 3, Inherits: 3, SameInit: 3, Generated: np.arange(3.0, dtype=np.float32)}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_module_that_is_sent_by_value_is_the_same_pytree(module: Any, sent: Any) -> None:
    net, x = module(MODULES[module]), jnp.arange(3.0)
    other_class, other = sent((module, net))
    assert other_class is not module and type(other) is other_class
    for found in (other, other_class(MODULES[module])):
        jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(found), jax.tree.leaves(net))
        value, gradient = eqx.filter_value_and_grad(lambda net: net(x))(found)
        expected, expected_gradient = eqx.filter_value_and_grad(lambda net: net(x))(net)
        assert value == expected
        np.testing.assert_array_equal(gradient.weight, expected_gradient.weight)
