"""`optax.inject_hyperparams` around a factory of this package: the injected numbers reach the state."""

import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import optax


class InjectedUpdate:
    """`update` of a transform that `optax.inject_hyperparams` builds anew at each step.

    `inject_hyperparams` expects the update of its new transform to use the new numbers, but an update reads its
    settings from the state. So the new numbers are written into the state first.

    Args:
        update: the update of the transform.
        settings: returns the settings of the transform as `init` copies them into a state.
    """

    def __init__(self, update: Callable[..., Any], settings: Callable[[], dict[str, Any]]) -> None:
        self.update, self.settings = update, settings

    def __call__(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """The updates to add to the parameters, and the next state."""
        if hasattr(state, "settings"):
            state = state._replace(settings=self.settings())
        return self.update(updates, state, params, **extra)


def inside_inject_hyperparams() -> bool:
    """Whether `optax.inject_hyperparams` is calling the factory that it wraps.

    It passes arrays as any caller may, so that nothing but the call stack shows it.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        if id(frame.f_code) in _CODE:
            return True
        frame = frame.f_back
    return False


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


# Identities of the functions defined inside `inject_hyperparams`, whatever a version of optax names them.
_CODE = frozenset(map(id, _nested(optax.inject_hyperparams.__code__)))
