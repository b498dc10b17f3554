"""Checks of what a wrapper is given: its settings, and its state."""

from typing import Any


def required(where: str, **settings: Any) -> None:
    """Check that no setting is `None`.

    Args:
        where: the name of the wrapper, for the message.
        **settings: its settings by name.

    Raises:
        TypeError: if one is `None`.
    """
    for name, value in settings.items():
        if value is None:
            raise TypeError(f"{where}: {name} is None: give a number or a schedule")


def check_parts(where: str, state: Any, parts: int) -> None:
    """Check that a state is the tuple of the states of so many transforms.

    Args:
        where: the name of the wrapper, for the message.
        state: what `update` was given.
        parts: the number of transforms inside.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(state, tuple | list) or hasattr(state, "_fields") or len(state) != parts:
        raise ValueError(
            f"{where} of {parts} was given a state of {type(state).__name__}: give the state of its own init"
        )


def check_inner(where: str, state: Any) -> None:
    """Check that a state has an inner one.

    Args:
        where: the name of the wrapper, for the message.
        state: what `update` was given.

    Raises:
        ValueError: if it is the state of something else.
    """
    if not hasattr(state, "inner"):
        raise ValueError(
            f"{where} was given a state of {type(state).__name__}: give the state of its own init, or of "
            "swap(tx, state, params)"
        )
