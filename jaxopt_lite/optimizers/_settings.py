"""Settings inside a state: copied there at init, resolved at each step, read and changed by name in mid-run."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite import _names
from jaxopt_lite.optimizers._ranges import check_scalar, number
from jaxopt_lite.optimizers._structure import PlainFunction


def copied(where: str, data: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as fresh arrays, for the state; `None` stands where a plain function of the count decides."""
    kept = {name: _copy(where, name, value) for name, value in data.items()}
    return kept | {name: None for name, value in fixed.items() if isinstance(value, PlainFunction)}


def resolved(settings: Mapping[str, Any], fixed: Mapping[str, Any], count: jax.Array) -> dict[str, jax.Array]:
    """The numbers of this step: schedules are asked for their value at `count`."""
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
    return {_join(path, name): value for path, held in _places(state, ()) for name, value in held.items()}


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
        ValueError: if the state does not have a name, or has it more than once, or a number is out of its range.
        TypeError: if the state holds no settings, or is one of `optax.inject_hyperparams`.

    Example:
        >>> state = with_settings(adam(0.1).init(jnp.ones(3)), learning_rate=0.5)
        >>> float(settings(state)["learning_rate"])
        0.5
    """
    places = list(_places(state, ()))
    if not places:
        raise TypeError(
            f"with_settings was given {type(state).__name__}, which holds no settings: give the state that init of an "
            "optimizer of jaxopt_lite returned"
        )
    for name, value in changes.items():
        found = [(path, held, own) for path, held in places for own in held if name in (own, _join(path, own))]
        if not found:
            known = [_join(path, own) for path, held in places for own in held]
            raise ValueError(_names.unknown("setting", name, known))
        if len(found) > 1:
            offers = ", ".join(_join(path, own) for path, _, own in found)
            raise ValueError(f"setting {name!r} occurs in {len(found)} places: write one of {offers}")
        path, held, own = found[0]
        new = _copy("with_settings", name, value)
        state = _replaced(state, path, held | {own: new})
        places = list(_places(state, ()))
    return state


def _copy(where: str, name: str, value: Any) -> Any:
    # The range of a setting is not that of the numbers inside a schedule: `transition_steps` of a schedule for b1.
    inside = "" if callable(value) else name
    return jax.tree.map(lambda x: _array(where, inside, x), value)


def _array(where: str, name: str, value: Any) -> jax.Array:
    checked = number(where, name, value)
    check_scalar(where, name, value)
    try:
        return jnp.array(checked, dtype=float, copy=True)
    except TypeError as error:
        raise TypeError(f"{where}: {name} is {value!r}, which is no number yet: sample it before init") from error


def _join(path: tuple, name: str) -> str:
    return ".".join([*(str(key) for key in path if key != "inner"), name])


def _places(node: Any, path: tuple) -> Iterator[tuple[tuple, dict[str, Any]]]:
    """Every dictionary of settings inside a state, with the way to it."""
    fields = getattr(node, "_fields", None)
    if fields is not None:
        if "settings" in fields:
            yield path, node.settings
        items = [(name, getattr(node, name)) for name in fields if name not in ("settings", "moments")]
    elif isinstance(node, dict):
        items = list(node.items())
    else:
        items = list(enumerate(node)) if isinstance(node, tuple | list) else []
    for key, child in items:
        yield from _places(child, (*path, key))


def _replaced(node: Any, path: tuple, held: dict[str, Any]) -> Any:
    if not path:
        return node._replace(settings=held)
    key, rest = path[0], path[1:]
    if hasattr(node, "hyperparams"):
        raise TypeError(
            "with_settings was given a state of optax.inject_hyperparams, which overwrites the settings at each step: "
            "assign state.hyperparams[name] instead"
        )
    if hasattr(node, "_fields"):
        return node._replace(**{key: _replaced(getattr(node, key), rest, held)})
    if isinstance(node, dict):
        return {**node, key: _replaced(node[key], rest, held)}
    return type(node)(_replaced(child, rest, held) if i == key else child for i, child in enumerate(node))
