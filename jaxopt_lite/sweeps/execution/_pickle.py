"""Pickling by cloudpickle, also of Equinox modules that are sent by value."""

import dataclasses
import inspect
import io
from typing import Any

import cloudpickle


def dumps(value: Any) -> bytes:
    """A value as bytes for `pickle.loads`; classes and functions of the main program are sent by value."""
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


class _Pickler(cloudpickle.Pickler):
    """A pickler that sends the fields of an Equinox module with its class.

    cloudpickle builds a class without attributes first, which it sets afterwards. Equinox registers a module as a
    pytree when its class is built, and then needs its fields (https://github.com/patrick-kidger/equinox/issues/231).
    """

    def reducer_override(self, value: Any) -> Any:
        reduced = super().reducer_override(value)
        by_value = isinstance(reduced, tuple) and isinstance(value, type)
        if not by_value or type(value).__module__.partition(".")[0] != "equinox":
            return reduced
        build, arguments, *rest = reduced
        return build, tuple(a | _namespace(value) if isinstance(a, dict) else a for a in arguments), *rest


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
