"""Pickling by cloudpickle, also of pytree classes and Equinox modules that are sent by value."""

import contextlib
import dataclasses
import inspect
import io
from typing import Any

import cloudpickle
import jax


def dumps(value: Any) -> bytes:
    """A value as bytes for `pickle.loads`; classes and functions of the main program are sent by value."""
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


class _Pickler(cloudpickle.Pickler):
    """A pickler that sends with a class what makes it a pytree.

    cloudpickle builds a class without attributes first, which it sets afterwards. A decorator that registered the class
    as a pytree, as `flax.struct.dataclass` does, is not called again. Equinox registers a module when its class is
    built, and then needs its fields (https://github.com/patrick-kidger/equinox/issues/231).
    """

    def reducer_override(self, value: Any) -> Any:
        reduced = super().reducer_override(value)
        if not (isinstance(reduced, tuple) and isinstance(value, type)):
            return reduced
        build, arguments, *rest = reduced
        if type(value).__module__.partition(".")[0] == "equinox":
            return build, tuple(a | _namespace(value) if isinstance(a, dict) else a for a in arguments), *rest
        register = _registration(value)
        if register is None or len(rest) != 4:
            return reduced
        state, *items, set_state = rest
        return build, arguments, (set_state, state, register), *items, _set_and_register


def _set_and_register(cls: Any, state: tuple[Any, Any, Any]) -> None:
    """Give a class that was sent its attributes, and register it as a pytree."""
    set_state, attributes, (register, *arguments) = state
    set_state(cls, attributes)
    with contextlib.suppress(ValueError):  # it is registered: this process has it already
        register(cls, *arguments)


def _registration(cls: type[Any]) -> tuple[Any, ...] | None:
    """What registers a class as a pytree, and its further arguments; None if it is none, or how is not known."""
    with contextlib.suppress(TypeError):  # it is abstract, or a built-in type makes its instances
        if jax.tree_util.all_leaves([object.__new__(cls)]):
            return None
    if hasattr(cls, "tree_unflatten") and hasattr(cls, "tree_flatten_with_keys"):
        return (jax.tree_util.register_pytree_with_keys_class,)
    if hasattr(cls, "tree_unflatten") and hasattr(cls, "tree_flatten"):
        return (jax.tree_util.register_pytree_node_class,)
    data = _children(cls) if dataclasses.is_dataclass(cls) else None
    if data is None:
        return None
    static = [field.name for field in dataclasses.fields(cls) if field.init and field.name not in data]
    return jax.tree_util.register_dataclass, data, static


def _children(cls: type[Any]) -> list[str] | None:
    """The fields of a dataclass that are its children as a pytree; None if they are not known."""
    fields = [field.name for field in dataclasses.fields(cls)]
    try:
        probe: Any = object.__new__(cls)
        for name in fields:
            object.__setattr__(probe, name, _Leaf(name))
        leaves = jax.tree.leaves(probe)
    except Exception:  # it cannot be made so, or its flattening, written by hand, needs more than the fields
        return None
    data = [leaf.name for leaf in leaves if isinstance(leaf, _Leaf)]
    return data if len(data) == len(leaves) else None


class _Leaf:
    """What stands for a field of a dataclass while its leaves are found."""

    def __init__(self, name: str) -> None:
        self.name = name


def _namespace(module: Any) -> dict[str, Any]:
    """What Equinox reads of the body of a class: its fields, which are static, and whether it has an `__init__`."""
    annotated = inspect.get_annotations(module)
    fields = [field for field in dataclasses.fields(module) if field.name in annotated]
    names: dict[str, Any] = {"__annotations__": dict.fromkeys((field.name for field in fields), object)}
    for field in fields:
        metadata = {"static": True} if field.metadata.get("static") else {}
        names[field.name] = dataclasses.field(kw_only=True, metadata=metadata)
    own_init = "__init__" in vars(module) and not module.__dataclass_params__.init
    return names | ({"__init__": _init} if own_init else {})


def _init(self: Any) -> None:
    """Takes the place of `__init__` until that is set."""
