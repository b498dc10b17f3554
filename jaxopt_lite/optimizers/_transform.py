"""What every optimizer here is: an optax transformation that is a pytree of its numbers."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax
from jax.core import Tracer
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

from jaxopt_lite.optimizers._inject import InjectedUpdate, inside_inject_hyperparams
from jaxopt_lite.optimizers._ranges import sort
from jaxopt_lite.optimizers._repr import shown, written
from jaxopt_lite.optimizers._settings import copied
from jaxopt_lite.optimizers._states import check_state
from jaxopt_lite.optimizers._structure import Counted, freeze, opened, same

Parts = Mapping[Any, Any]
LOOKED_AT_A_NUMBER = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class State(NamedTuple):
    """The state of an optimizer.

    Args:
        count: the number of steps done, an int32 scalar.
        settings: each setting by name: a float32 scalar, a schedule of such scalars, or `None` for a plain function.
        moments: each moment by name: a tree shaped like the parameters.

    Example:
        >>> float(sgd(0.5).init(jnp.ones(2)).settings["learning_rate"])
        0.5
    """

    count: Any
    settings: dict[str, Any]
    moments: dict[str, Any]


class Rule(Protocol):
    """The structure of an optimizer: its maths, without its numbers. Rules are hashable and compare by value."""

    @property
    def name(self) -> str:
        """The name of the public function that builds transforms of this rule."""

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> Any:
        """The first state; `data` are the numbers, `fixed` the flags and functions, `parts` the inner transforms."""

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """Updates and the next state; `parts` are the inner update functions."""


class Init:
    """`init` of a transform: holds everything that was given to build it."""

    def __init__(self, rule: Rule, parts: Mapping[Any, "Transform"], data: Mapping[str, Any], fixed: tuple) -> None:
        self.rule, self.parts, self.data, self.fixed = rule, parts, data, fixed

    def __call__(self, params: Any) -> Any:
        """The state for these parameters: the settings are copied into it."""
        return self.rule.init(params, self.data, opened(self.fixed), self.parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Init):
            return NotImplemented
        alike = (self.rule, self.fixed, tuple(self.parts.items())) == (
            other.rule,
            other.fixed,
            tuple(other.parts.items()),
        )
        mine: Any = jax.tree.flatten(dict(self.data))
        theirs: Any = jax.tree.flatten(dict(other.data))
        return alike and mine[1] == theirs[1] and all(map(same, mine[0], theirs[0]))

    def __repr__(self) -> str:
        return f"<init of {self.rule.name}>"

    def __hash__(self) -> int:
        numbers = tuple((n, v) for n, v in self.data.items() if isinstance(v, float))
        return hash((self.rule, self.fixed, tuple(self.parts.items()), tuple(self.data), numbers))


class Update:
    """`update` of a transform: its structure alone, so that all transforms of one structure have equal `update`s.

    Called outside of any other transformation it is one compiled program, not dozens of dispatches; but where it runs
    Python code that is not ours (optax's, a plain function as a schedule or a mask), which may look at the numbers.
    """

    def __init__(self, rule: Rule, parts: tuple[tuple[Any, Any], ...], names: tuple[str, ...], fixed: tuple) -> None:
        self.rule, self.parts, self.names, self.fixed = rule, parts, names, fixed
        self._structure = (rule, parts, names, fixed)
        self._options = opened(fixed)
        self._settings = {*names, *(name for name, value in fixed if isinstance(value, Counted))}
        self._inner = dict(parts)
        self._hash: int | None = None
        self._ours = (
            not getattr(rule, "foreign", False)
            and not any(isinstance(value, Counted) or callable(value) for value in self._options.values())
            and all(getattr(part, "_ours", False) for _, part in parts)
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
            self._ours
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
        if self._hash is None:  # asked for at every eager call
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
    return any(map(_runs_user_code, structure.children()))


def _plain(x: Any) -> bool:
    """Whether this is an array, or a number that fits in one, and no tracer."""
    if isinstance(x, int | float):
        return abs(x) < 2**31
    return isinstance(x, jax.Array | np.ndarray) and not isinstance(x, Tracer) and x.dtype.kind not in "OSU"


class Transform(optax.GradientTransformationExtraArgs):
    """An optax transformation that is also a pytree: its numeric settings are the leaves, all else is structure.

    It unpacks to `init, update`, passes through `jit`, `vmap` and `grad` as an argument, compares by value and pickles.
    Build one with a function such as `adam`, or with a `Rule`.

    Args:
        init: `init(params)` returns the state, into which it copies the settings.
        update: `update(grads, state, params)` returns the updates to add to the parameters, and the next state. It
            reads the settings from the state alone, so it is equal for all numbers.

    Example:
        >>> init, update = sgd(0.5)
        >>> update(jnp.ones(2), init(jnp.zeros(2)))[0]
        Array([-0.5, -0.5], dtype=float32)
    """

    @property
    def name(self) -> str:
        """The name it is built by: "adam", or "chain(clip_by_global_norm, adam)"."""
        rule, parts = self.init.rule, self.init.parts
        return f"{rule.name}({', '.join(part.name for part in parts.values())})" if parts else rule.name

    @property
    def settings(self) -> dict[str, Any]:
        """Its arguments as given, by name; those of an inner transform under `index.name` or `tx.name`."""
        init: Any = self.init
        inner = {f"{k}.{name}": v for k, part in init.parts.items() for name, v in part.settings.items()}
        return inner | dict(init.data) | shown(init.fixed)

    def __repr__(self) -> str:
        return written(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transform) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash((self.init, self.update))


class Opaque(NamedTuple):
    """The rule of a plain optax transformation inside one of ours: it counts as structure."""

    tx: Any

    def written(self, init: Init) -> str:
        """How it is printed."""
        return f"<optax {self.name}>"

    @property
    def foreign(self) -> bool:
        """Its code is not ours."""
        return True

    @property
    def name(self) -> str:
        """How it is shown."""
        return getattr(self.tx.update, "__qualname__", "optax").split(".")[0]

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> Any:
        """Optax's own."""
        return self.tx.init(params)

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """Optax's own, given the extra arguments if it takes any."""
        return optax.with_extra_args_support(self.tx).update(grads, state, params, **extra)


def build(
    rule: Rule, data: Mapping[str, Any], fixed: Mapping[str, Any] | None = None, parts: Any = None, own: bool = True
) -> Transform:
    """The transform of `rule`: `data` are arguments that may be numbers, `fixed` those that never are.

    Of `data`, what is not a number, an array, a pytree of them or an unknown object (`None`, a plain function) is
    moved to the structure. `parts` are inner transforms by name. The ranges are checked of our `own` rules' numbers.
    """
    numbers, rest = sort(rule.name, data, own, getattr(rule, "settings", None))
    structure = tuple((name, freeze(value)) for name, value in {**rest, **(fixed or {})}.items())
    inner = {key: as_transform(tx, rule.name) for key, tx in (parts or {}).items()}
    tx = assemble(rule, inner, numbers, structure)
    if inside_inject_hyperparams():
        update: Any = InjectedUpdate(tx.update, lambda: copied(rule.name, numbers, opened(structure)))
        return Transform(tx.init, update)
    return tx


def assemble(rule: Rule, parts: Mapping[Any, Transform], data: Mapping[str, Any], fixed: tuple) -> Transform:
    """The transform as it stands: nothing is checked or converted."""
    updates = tuple((key, getattr(part, "update", None)) for key, part in parts.items())
    return Transform(Init(rule, parts, data, fixed), Update(rule, updates, tuple(data), fixed))


def as_transform(tx: Any, where: str) -> Transform:
    """`tx` itself, or a plain optax transformation wrapped as structure."""
    if isinstance(tx, Transform):
        return tx
    if isinstance(tx, Callable) and not hasattr(tx, "init"):  # type: ignore[arg-type]
        raise TypeError(
            f"{where} was given the function {tx!r}: call it first, as in {getattr(tx, '__name__', 'adam')}(1e-3)"
        )
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise TypeError(f"{where} was given {tx!r}, which has no init and update: give an optimizer, as adam(1e-3)")
    extra = isinstance(tx, optax.GradientTransformationExtraArgs)
    kind = optax.GradientTransformationExtraArgs if extra else optax.GradientTransformation
    return assemble(Opaque(kind(tx.init, tx.update)), {}, {}, ())


def _key(name: Any) -> Any:
    return SequenceKey(name) if isinstance(name, int) else GetAttrKey(name) if name.isidentifier() else DictKey(name)


def _flatten_with_keys(tx: Transform) -> tuple[list, tuple]:
    init: Any = tx.init
    children = [(_key(name), value) for group in (init.parts, init.data) for name, value in group.items()]
    return children, (init.rule, tuple(init.parts), tuple(init.data), init.fixed)


def _flatten(tx: Transform) -> tuple[list, tuple]:
    init: Any = tx.init
    return [*init.parts.values(), *init.data.values()], (init.rule, tuple(init.parts), tuple(init.data), init.fixed)


def _unflatten(structure: tuple, children: Any) -> Transform:
    rule, part_names, data_names, fixed = structure
    values = list(children)
    n = len(part_names)
    parts = dict(zip(part_names, values[:n], strict=True))
    return assemble(rule, parts, dict(zip(data_names, values[n:], strict=True)), fixed)


jax.tree_util.register_pytree_with_keys(Transform, _flatten_with_keys, _unflatten, _flatten)
