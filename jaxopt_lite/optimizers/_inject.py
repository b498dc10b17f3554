"""`optax.inject_hyperparams` around a factory of this package: the injected numbers reach the state."""

import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import optax


class InjectedUpdate:
    """`update` of a transform that `optax.inject_hyperparams` builds anew at each step.

    `inject_hyperparams` expects the update of its new transform to use the new numbers, but an update reads its
    settings from the state. So the new numbers are written into the state first, except those that the transform itself
    changes in its state (`evolves` of its rule), which continue there.

    Args:
        update: the update of the transform, an `Update`.
        settings: returns the settings of the transform as `init` copies them into a state.
    """

    def __init__(self, update: Any, settings: Callable[[], dict[str, Any]]) -> None:
        self.update, self.settings = update, settings
        self.rule, self.parts = update.rule, update.parts

    def __call__(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """The updates to add to the parameters, and the next state."""
        if hasattr(state, "settings"):
            evolved = {
                name: state.settings[name] for name in getattr(self.rule, "evolves", ()) if name in state.settings
            }
            state = state._replace(settings=self.settings() | evolved)
        return self.update(updates, state, params, **extra)


def inside_inject_hyperparams() -> bool:
    """Whether `optax.inject_hyperparams` is calling the factory that it wraps.

    It passes arrays as any caller may, so that nothing but the call stack shows it. What a factory returns may build
    transforms in its `update` too, which `inject_hyperparams` calls as well: those are not built anew from its numbers.
    """
    called: Any = None
    frame: Any = sys._getframe(1)
    while frame is not None:
        if id(frame.f_code) in _CODE:
            return any(_runs(value, called) for value in frame.f_locals.values())
        called, frame = frame, frame.f_back
    return False


def _runs(factory: Any, frame: FrameType) -> bool:
    """Whether a frame runs the code of this variable of `inject_hyperparams`, which is the factory if callable."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if not callable(factory) or isinstance(factory, type):
        return False
    code = getattr(factory, "__code__", None) or getattr(type(factory).__call__, "__code__", None)
    return code is frame.f_code


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


# Identities of the functions defined inside `inject_hyperparams`, whatever a version of optax names them.
_CODE = frozenset(map(id, _nested(optax.inject_hyperparams.__code__)))
