"""Signatures of NNX modules: their metaclass hides that of `__init__` from `help` and editors."""

import inspect
from typing import Any


class Signature:
    """A base class that shows `inspect.signature` the arguments of `__init__`, and not `(*args, **kwargs)`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        signature = inspect.signature(cls.__init__)
        cls.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
