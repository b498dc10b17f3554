"""Settings inside a state: copied there at init, evaluated at each step, read and changed by name during training."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite import _names
from jaxopt_lite.optimizers._ranges import Allowed, check_constant, check_scalar, declared, number
from jaxopt_lite.optimizers._structure import PlainFunction


def copied(
    where: str, data: Mapping[str, Any], fixed: Mapping[str, Any], scalars: Container[str] = ()
) -> dict[str, Any]:
    """The settings for a state, as fresh arrays.

    Args:
        where: the name of the optimizer, for messages.
        data: the numbers and schedules by name.
        fixed: the static arguments by name; plain functions among them are settings too.
        scalars: names of settings that must not have axes, besides those of this package.

    Returns:
        Each setting by name: a scalar, a schedule of scalars, or `None` for a plain function.

    Raises:
        TypeError: if one is not a number yet.
        ValueError: if one has axes.
    """
    kept = {
        name: _copy(where, name, value, scalar=name in scalars or declared(name) is not None)
        for name, value in data.items()
    }
    return kept | {name: None for name, value in fixed.items() if isinstance(value, PlainFunction)}


def resolved(settings: Mapping[str, Any], fixed: Mapping[str, Any], count: jax.Array) -> dict[str, jax.Array]:
    """The numbers of one step.

    Args:
        settings: the settings of a state.
        fixed: the static arguments by name, with the plain functions.
        count: the number of steps done, at which schedules are evaluated.

    Returns:
        The numbers by name.
    """
    values = {name: fixed[name].function if value is None else value for name, value in settings.items()}
    return {name: jnp.asarray(v(count), dtype=float) if callable(v) else v for name, v in values.items()}


def settings(state: Any) -> dict[str, Any]:
    """The settings that a state runs with.

    Args:
        state: what `init` or `update` returned, of a transform of this package or of optax's transforms around one.

    Returns:
        The settings by name. Inside wrappers a name begins with its place:
        `settings(chain(clip(1.0), adam(0.1)).init(p))` has `"1.learning_rate"`. A value is a scalar array, a schedule,
        or `None` if the setting is a plain Python function.

    Example:
        >>> float(settings(adam(0.5).init(jnp.ones(3)))["learning_rate"])
        0.5
    """
    return {_join(path, name): value for path, node in _places(state, ()) for name, value in node.settings.items()}


def is_setting(tree: Any) -> Any:
    """A tree of the same structure that says of each leaf whether it is a setting in a state of this package."""

    def has_settings(node: Any) -> bool:
        return "settings" in getattr(node, "_fields", ())

    def marked(node: Any) -> Any:
        if not has_settings(node):
            return False
        fields = {name: is_setting(child) for name, child in node._asdict().items() if name != "settings"}
        return node._replace(**fields, settings=jax.tree.map(lambda _: True, node.settings))

    return jax.tree.map(marked, tree, is_leaf=has_settings)


def with_settings(state: Any, /, **changes: Any) -> Any:
    """The same state with some settings changed; moments and counts stay.

    A number that replaces a number keeps structure and dtype, so that nothing is traced again; a schedule that replaces
    a number traces once more.

    Args:
        state: what `init` or `update` returned.
        **changes: numbers, arrays, tracers or schedules by name. A name that occurs in several places of the state
            needs its place, as `settings` shows it: `with_settings(state, **{"1.learning_rate": 0.01})`.

    Returns:
        The new state.

    Raises:
        ValueError: if the state does not have a name, or has it more than once, or a number is out of its range, or
            the state is that of several members under `jax.vmap` and a setting is not given for each.
        TypeError: if a value is `None`, a plain function, or a schedule for `seed` or `loss_scale`; if the state has
            no settings or is one of `optax.inject_hyperparams`.

    Example:
        >>> state = with_settings(adam(0.1).init(jnp.ones(3)), learning_rate=0.5)
        >>> float(settings(state)["learning_rate"])
        0.5
    """
    places = list(_places(state, ()))
    if not places:
        raise TypeError(
            f"with_settings was given {type(state).__name__}, which has no settings: give the state that init of an "
            "optimizer of jaxopt_lite returned"
        )
    for name, value in changes.items():
        matches = [
            (path, node, key) for path, node in places for key in node.settings if name in (key, _join(path, key))
        ]
        if not matches:
            known = [_join(path, key) for path, node in places for key in node.settings]
            raise ValueError(_names.unknown("setting", name, known))
        if len(matches) > 1:
            offers = ", ".join(_join(path, key) for path, _, key in matches)
            raise ValueError(f"setting {name!r} occurs in {len(matches)} places: write one of {offers}")
        path, node, key = matches[0]
        if value is None or (callable(value) and jax.tree_util.all_leaves([value])):
            raise TypeError(
                f"with_settings: {name}={value!r} is static, and a state has only data: give a number or a schedule of "
                "this package, or build another optimizer and call swap(tx, state, params)"
            )
        checked = key == "learning_rate" or not getattr(node, "foreign", False)
        if checked:
            check_constant("with_settings", key, value)
        members = np.shape(getattr(node, "count", 0))  # those of a state made under vmap
        scalar = declared(key) is not None and not members
        new = _copy("with_settings", key, value, scalar, allowed=declared(key) if checked else None)
        if any(x.shape[: len(members)] != members for x in jax.tree.leaves(new)):
            raise ValueError(
                f"with_settings: {name} has the shape {members} in this state, one number for each member under vmap: "
                f"give an array of that shape, or one number for all by jax.vmap(lambda state: with_settings(state, "
                f"{name}=...))(state)"
            )
        state = _replaced(state, path, node.settings | {key: new})
        places = list(_places(state, ()))
    return state


def _copy(where: str, name: str, value: Any, scalar: bool, allowed: Allowed | None = None) -> Any:
    if callable(value):  # the numbers inside a schedule have other ranges: `transition_steps` of a schedule for b1
        scalar, allowed = False, None
    return jax.tree.map(lambda x: _array(where, name, x, scalar, allowed), value)


def _array(where: str, name: str, value: Any, scalar: bool, allowed: Allowed | None) -> jax.Array:
    checked = number(where, name, value, allowed)
    if scalar:
        check_scalar(where, name, value)
    try:
        return jnp.array(checked, dtype=float, copy=True)
    except TypeError as error:
        raise TypeError(f"{where}: {name} is {value!r}, which is no number yet: sample it before init") from error


def _join(path: tuple, name: str) -> str:
    return ".".join([*(str(key) for key in path if key != "inner"), name])


def _places(node: Any, path: tuple) -> Iterator[tuple[tuple, Any]]:
    """Every part of a state that has settings, with its path."""
    fields = getattr(node, "_fields", None)
    if fields is not None:
        if "settings" in fields:
            yield path, node
        items = [(name, getattr(node, name)) for name in fields if name not in ("settings", "moments")]
    elif isinstance(node, dict):
        items = list(node.items())
    else:
        items = list(enumerate(node)) if isinstance(node, tuple | list) else []
    for key, child in items:
        yield from _places(child, (*path, key))


def _replaced(node: Any, path: tuple, new: dict[str, Any]) -> Any:
    if not path:
        return node._replace(settings=new)
    key, rest = path[0], path[1:]
    if hasattr(node, "hyperparams"):
        raise TypeError(
            "with_settings was given a state of optax.inject_hyperparams, which overwrites the settings at each step: "
            "assign state.hyperparams[name] instead"
        )
    if hasattr(node, "_fields"):
        return node._replace(**{key: _replaced(getattr(node, key), rest, new)})
    if isinstance(node, dict):
        return {**node, key: _replaced(node[key], rest, new)}
    return type(node)(_replaced(child, rest, new) if i == key else child for i, child in enumerate(node))
