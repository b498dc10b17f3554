"""The update of a transform: static structure, compiled when it is called eagerly."""

import functools
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import numpy as np
from jax.core import Tracer

from jaxopt_lite.optimizers._states import check_state
from jaxopt_lite.optimizers._structure import PlainFunction, static_arguments

Parts = Mapping[Any, Any]
LOOKED_AT_A_NUMBER = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class Behavior(Protocol):
    """What a transform does, without its numbers: a `Rule`, or the class of a wrapper. Hashable, compared by value."""

    @property
    def name(self) -> str:
        """The name of the public function that builds transforms of this behavior."""

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> Any:
        """The first state.

        Args:
            params: the parameters.
            data: the numbers, by name.
            fixed: the static arguments, by name.
            parts: the inner transforms, by name or index.
        """

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """The updates and the next state.

        Args:
            grads: the gradients.
            state: the state.
            params: the parameters, or `None`.
            fixed: the static arguments, by name.
            parts: the update functions of the inner transforms, by name or index.
            extra: further keyword arguments of the caller.
        """


class Update:
    """`update` of a transform: static structure without numbers, so it is equal for all transforms of one structure.

    An eager call runs one compiled program instead of dozens of operations. The exception is code of the user or of
    optax (a plain function as a schedule or a mask), which is not traced in eager calls, as it may read the numbers.
    """

    def __init__(
        self, rule: Behavior, parts: tuple[tuple[Any, Any], ...], names: tuple[str, ...], fixed: tuple
    ) -> None:
        self.rule, self.parts, self.names, self.fixed = rule, parts, names, fixed
        self._structure = (rule, parts, names, fixed)
        self._options = static_arguments(fixed)
        self._settings = {*names, *(name for name, value in fixed if isinstance(value, PlainFunction))}
        self._inner = dict(parts)
        self._hash: int | None = None
        self._traceable = (
            not getattr(rule, "foreign", False)
            and not any(isinstance(value, PlainFunction) or callable(value) for value in self._options.values())
            and all(getattr(part, "_traceable", False) for _, part in parts)
        )

    def __call__(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """One step.

        The settings are those of `state`, whatever numbers the transform was built with: all transforms of one
        structure share this function, and a restored state continues with its own settings. Change them with
        `with_settings(state, learning_rate=...)`. Only inside `optax.inject_hyperparams`, which builds a transform at
        each step, its numbers are written into the state first.

        Args:
            updates: the gradients, a tree shaped like the parameters.
            state: what `init` or the last `update` returned.
            params: the parameters; needed by weight decay.
            **extra: passed on to plain optax transforms inside, otherwise ignored.

        Returns:
            The updates to add to the parameters, and the next state.

        Raises:
            TypeError: if the state is that of another optimizer.
            ValueError: if the trees do not match, or parameters are needed and not given.
        """
        if (
            self._traceable
            and not _runs_user_code(jax.tree.structure(state))
            and all(map(_plain, jax.tree.leaves((updates, state, params))))
            and all(map(_plain, extra.values()))
        ):
            try:
                return _compiled(self, updates, state, params, extra)
            except LOOKED_AT_A_NUMBER:  # a plain function inside a schedule, as `lambda count: table[count]`
                pass
            except ValueError as error:  # the leaves are committed to several devices, which one program cannot read
                if "incompatible devices" not in str(error):
                    raise
        return self._traced(updates, state, params, extra)

    def _traced(self, updates: Any, state: Any, params: Any, extra: Mapping[str, Any]) -> tuple[Any, Any]:
        check_state(self.rule, self._settings, self._options, state)
        return self.rule.update(updates, state, params, self._options, self._inner, extra)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Update):
            return NotImplemented
        return self is other or self._structure == other._structure

    def __hash__(self) -> int:
        if self._hash is None:  # needed at every eager call
            self._hash = hash(self._structure)
        return self._hash

    def __repr__(self) -> str:
        return f"<update of {self.rule.name}>"

    def __getstate__(self) -> tuple:
        return self._structure

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)  # type: ignore[misc]


@functools.partial(jax.jit, static_argnums=0)
def _compiled(update: Update, updates: Any, state: Any, params: Any, extra: dict[str, Any]) -> tuple[Any, Any]:
    return update._traced(updates, state, params, extra)


@functools.lru_cache(maxsize=1024)
def _runs_user_code(structure: Any) -> bool:
    """Whether a state contains a schedule that the user wrote, whose code may read what changes between calls."""
    node = structure.node_data()
    called = node is not None and any("__call__" in vars(cls) for cls in node[0].__mro__)
    if called and (not node[0].__module__.startswith("jaxopt_lite.") or node[0].__name__ == "Function"):
        return True
    fields, children = getattr(node and node[0], "_fields", ()), structure.children()
    if "settings" in fields or "inner" in fields:  # the other fields are trees of arrays, which may be callable models
        children = [child for name, child in zip(fields, children, strict=True) if name in ("settings", "inner")]
    return any(map(_runs_user_code, children))


def _plain(x: Any) -> bool:
    """Whether this is an array, or a number that fits in one, and no tracer."""
    if isinstance(x, int | float):
        return abs(x) < 2**31
    return isinstance(x, jax.Array | np.ndarray) and not isinstance(x, Tracer) and x.dtype.kind not in "OSU"
