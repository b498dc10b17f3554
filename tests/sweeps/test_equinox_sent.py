"""Equinox modules of the main program, which are sent to workers by value, are pytrees there too."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.sweeps.sent import sent

eqx = pytest.importorskip("equinox")


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
def test_a_module_that_is_sent_by_value_is_the_same_pytree(module: Any) -> None:
    net, x = module(MODULES[module]), jnp.arange(3.0)
    other_class, other = sent((module, net), sys.modules[__name__])
    assert other_class is not module and type(other) is other_class
    for found in (other, other_class(MODULES[module])):
        jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(found), jax.tree.leaves(net))
        value, gradient = eqx.filter_value_and_grad(lambda net: net(x))(found)
        expected, expected_gradient = eqx.filter_value_and_grad(lambda net: net(x))(net)
        assert value == expected
        np.testing.assert_array_equal(gradient.weight, expected_gradient.weight)
