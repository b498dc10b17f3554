"""Transforms: optax transformations that are pytrees of their numbers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

from jaxopt_lite.optimizers._inject import InjectedUpdate, inside_inject_hyperparams
from jaxopt_lite.optimizers._ranges import split_arguments
from jaxopt_lite.optimizers._repr import shown, written
from jaxopt_lite.optimizers._settings import copied
from jaxopt_lite.optimizers._structure import freeze, same, static_arguments
from jaxopt_lite.optimizers._update import Behavior, Update
from jaxopt_lite.optimizers._update import Parts as Parts


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


class Init:
    """`init` of a transform: everything that it was built with."""

    def __init__(self, rule: Behavior, parts: Mapping[Any, "Transform"], data: Mapping[str, Any], fixed: tuple) -> None:
        self.rule, self.parts, self.data, self.fixed = rule, parts, data, fixed

    def __call__(self, params: Any) -> Any:
        """The first state for these parameters, with a copy of the settings."""
        return self.rule.init(params, self.data, static_arguments(self.fixed), self.parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Init):
            return NotImplemented
        alike = (self.rule, self.fixed, tuple(self.parts.items())) == (
            other.rule,
            other.fixed,
            tuple(other.parts.items()),
        )
        a: Any = jax.tree.flatten(dict(self.data))
        b: Any = jax.tree.flatten(dict(other.data))
        return alike and a[1] == b[1] and all(map(same, a[0], b[0]))

    def __repr__(self) -> str:
        return f"<init of {self.rule.name}>"

    def __hash__(self) -> int:
        numbers = tuple((n, v) for n, v in self.data.items() if isinstance(v, float))
        return hash((self.rule, self.fixed, tuple(self.parts.items()), tuple(self.data), numbers))


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
    """The behavior of a plain optax transformation inside a transform of this package: static."""

    tx: Any

    def written(self, init: Init) -> str:
        """How it is printed."""
        return f"<optax {self.name}>"

    @property
    def foreign(self) -> bool:
        """Eager calls do not trace its code."""
        return True

    @property
    def name(self) -> str:
        """How it is shown."""
        return getattr(self.tx.update, "__qualname__", "optax").split(".")[0]

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> Any:
        """The state of the optax transformation."""
        return self.tx.init(params)

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """The step of the optax transformation, which gets the extra arguments if it takes any."""
        return optax.with_extra_args_support(self.tx).update(grads, state, params, **extra)


def build(
    rule: Behavior,
    data: Mapping[str, Any],
    fixed: Mapping[str, Any] | None = None,
    parts: Any = None,
    foreign: bool = False,
) -> Transform:
    """The transform of a behavior, its arguments checked.

    Args:
        rule: the behavior.
        data: the arguments that may be numbers. `None` and plain functions among them become static.
        fixed: the static arguments.
        parts: the inner transforms by name, of this package or of optax.
        foreign: whether it is an optimizer of optax, of which only the learning rate is checked.

    Returns:
        The transform.
    """
    numbers, rest = split_arguments(rule.name, data, getattr(rule, "settings", None), foreign)
    structure = tuple((name, freeze(value)) for name, value in {**rest, **(fixed or {})}.items())
    inner = {key: as_transform(tx, rule.name) for key, tx in (parts or {}).items()}
    tx = assemble(rule, inner, numbers, structure)
    if inside_inject_hyperparams():
        update: Any = InjectedUpdate(tx.update, lambda: copied(rule.name, numbers, static_arguments(structure)))
        return Transform(tx.init, update)
    return tx


def assemble(rule: Behavior, parts: Mapping[Any, Transform], data: Mapping[str, Any], fixed: tuple) -> Transform:
    """The transform of parts that are checked and converted already."""
    updates = tuple((key, getattr(part, "update", None)) for key, part in parts.items())
    return Transform(Init(rule, parts, data, fixed), Update(rule, updates, tuple(data), fixed))


def as_transform(tx: Any, where: str) -> Transform:
    """`tx` itself, or a plain optax transformation as a static part."""
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
