"""Classes of the main program that are pytrees are pytrees in workers too."""

import abc
import dataclasses
import functools
import sys
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.sweeps.sent import sent


@flax.struct.dataclass
class Flax:
    weights: Any
    width: int = flax.struct.field(pytree_node=False, default=3)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weights"], meta_fields=["width"])
@dataclasses.dataclass
class Registered:
    weights: Any
    width: int = 3


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weights"], meta_fields=[])
@dataclasses.dataclass
class Derived:
    weights: Any
    width: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.width = 3


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass
class FlattenedFields:
    weights: Any
    width: int = dataclasses.field(init=False, default=3)

    def tree_flatten(self) -> Any:
        return (self.weights,), self.width

    @classmethod
    def tree_unflatten(cls, _: Any, children: Any) -> Any:
        return cls(*children)


@jax.tree_util.register_pytree_node_class
class Flattened:
    def __init__(self, weights: Any) -> None:
        self.weights, self.width = weights, 3

    def tree_flatten(self) -> Any:
        return (self.weights,), None

    @classmethod
    def tree_unflatten(cls, _: Any, children: Any) -> Any:
        return cls(*children)


@jax.tree_util.register_pytree_with_keys_class
class Keyed(Flattened):
    def tree_flatten_with_keys(self) -> Any:
        return ((jax.tree_util.GetAttrKey("weights"), self.weights),), None


@dataclasses.dataclass
class NoPytree:
    weights: Any
    width: int = 3


@pytest.mark.parametrize("cls", [Flax, Registered, Derived, FlattenedFields, Flattened, Keyed])
def test_pytrees_are_pytrees_where_they_are_sent(cls: Any) -> None:
    value = cls({"w": jnp.arange(3.0), "none": None})
    found = sent(value, sys.modules[__name__])
    assert type(found) is not cls
    assert [k for k, _ in jax.tree_util.tree_leaves_with_path(found)] == [
        k for k, _ in jax.tree_util.tree_leaves_with_path(value)
    ]
    doubled = jax.jit(lambda tree: jax.tree.map(lambda x: 2 * x, tree))(found)
    assert isinstance(doubled, type(found)) and doubled.width == 3
    np.testing.assert_array_equal(doubled.weights["w"], [0, 2, 4])


@dataclasses.dataclass
class ByHand:
    weights: Any

    def __post_init__(self) -> None:
        self.parts = (self.weights,)


jax.tree_util.register_pytree_node(ByHand, lambda one: (one.parts, None), lambda _, parts: ByHand(*parts))


def test_a_class_that_is_flattened_by_hand_can_be_sent() -> None:
    np.testing.assert_array_equal(sent(ByHand(jnp.ones(2)), sys.modules[__name__]).weights, [1, 1])


def test_other_classes_stay_leaves() -> None:
    found = sent(NoPytree(jnp.ones(2)), sys.modules[__name__])
    assert jax.tree.leaves(found) == [found]


@dataclasses.dataclass
class Abstract(abc.ABC):
    width: int

    @abc.abstractmethod
    def doubled(self) -> int: ...


class Concrete(Abstract):
    def doubled(self) -> int:
        return 2 * self.width


@dataclasses.dataclass
class OfBuiltIn(Exception):
    width: int


def test_dataclasses_that_cannot_be_made_without_arguments_can_be_sent() -> None:
    concrete, error = sent((Concrete(3), OfBuiltIn(3)), sys.modules[__name__])
    assert concrete.doubled() == 6 and error.width == 3
