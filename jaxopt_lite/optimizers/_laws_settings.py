"""What the laws read of a transform: names of leaves, lower ends of ranges, whether it runs code of optax."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from jaxopt_lite.optimizers._ranges import declared
from jaxopt_lite.optimizers._transform import Transform


def place(path: tuple) -> str:
    """The name of a leaf, as `Transform.settings` shows it."""
    keys: list[Any] = list(path)
    return ".".join(str(getattr(key, "name", getattr(key, "idx", getattr(key, "key", None)))) for key in keys)


def is_rate(name: str) -> bool:
    """Whether a setting is a learning rate, at any place."""
    return name.split(".")[-1] == "learning_rate"


def takes(make: Callable[..., Transform], name: str) -> bool:
    """Whether the function that is checked has this argument."""
    parameters = inspect.signature(make).parameters
    return name in parameters or (name.isidentifier() and any(p.kind is p.VAR_KEYWORD for p in parameters.values()))


def is_foreign(tx: Transform) -> bool:
    """Whether it runs code outside of this package."""
    init: Any = tx.init
    return getattr(init.rule, "foreign", False) or any(map(is_foreign, init.parts.values()))


def lows(tx: Transform) -> list[tuple[float | None, Any]]:
    """The lower end of the range of each setting and its value, in the order of the leaves; `None` if it has none."""
    init: Any = tx.init
    inner = [pair for part in init.parts.values() for pair in lows(part)]
    ranges = getattr(init.rule, "settings", {})
    ends = [(getattr(ranges.get(name) or declared(name), "low", None), value) for name, value in init.data.items()]
    return inner + [(low if low is not None and math.isfinite(low) else None, value) for low, value in ends]
