"""Settings of wrappers that cannot be `None`."""

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
