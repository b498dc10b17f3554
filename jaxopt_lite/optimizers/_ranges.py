"""Ranges of settings: declared by the rules, checked where a Python number is given."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lite.optimizers._bits import LARGEST_SEED
from jaxopt_lite.optimizers._structure import PlainFunction


class Range(NamedTuple):
    """The numbers that a setting may have, `low ≤ number < high`, and whether it may be `None`.

    Only Python and numpy numbers are checked: arrays and tracers have values that are known later, a schedule has many.

    Args:
        low: the smallest number.
        high: the bound that a number must stay below; default: none, but infinity itself is refused.
        optional: whether `None` is allowed. It is static: the rule reads it as "not used".
        hint: what to tell the user of a number outside of the range.

    Example:
        >>> Range(0.0, 1.0).check("mine", "b1", 0.9)
        0.9
        >>> Range(0.0, 1.0).check("mine", "b1", 1.5)
        Traceback (most recent call last):
        ValueError: mine: b1=1.5 is outside [0, 1)
    """

    low: float = 0.0
    high: float = math.inf
    optional: bool = False
    hint: str = ""

    def check(self, where: str, name: str, value: float) -> float:
        """The number, if it lies in the range.

        Args:
            where: the name of the optimizer, for the message.
            name: the name of the setting.
            value: a Python number.

        Returns:
            `value`.

        Raises:
            ValueError: if it lies outside.
        """
        if self.low <= value < self.high:
            return value
        end = f": {self.hint}" if self.hint else ""
        if math.isinf(value) and value > 0:
            raise ValueError(f"{where}: {name} is infinite: give a finite number")
        if self.high == math.inf and self.low == 0:
            raise ValueError(f"{where}: {name}={value:g} is negative{end or ': it cannot be'}")
        raise ValueError(f"{where}: {name}={value:g} is outside [{self.low:g}, {self.high:g}){end}")


class Positive(NamedTuple):
    """The range of a number above 0, infinity included, as the bounds of a clip have it."""

    optional: bool = True

    def check(self, where: str, name: str, value: float) -> float:
        """The number, if it is positive."""
        if value <= 0:
            raise ValueError(f"{where}: {name}={value:g} must be above 0")
        return value


class AtLeast(NamedTuple):
    """The range of a number of steps, infinity included."""

    low: float

    def check(self, where: str, name: str, value: float) -> float:
        """The number, if it is not below `low`."""
        if value < self.low:
            raise ValueError(f"{where}: {name}={value:g} must be {self.low:g} or more")
        return value


class Whole(NamedTuple):
    """The range of a whole number, both bounds included."""

    low: float
    high: float = math.inf

    def check(self, where: str, name: str, value: float) -> float:
        """The number, if it is whole and within the bounds."""
        if self.low <= value <= self.high and value % 1 == 0:
            return value
        if self.high == math.inf:
            raise ValueError(f"{where}: {name}={value:g} must be a whole number, {self.low:g} or more")
        raise ValueError(f"{where}: {name}={value:.9g} is not an integer between {self.low:.9g} and {self.high:.9g}")


Allowed = Range | Positive | AtLeast | Whole

RATE = Range(hint="the step already goes downhill, so give its size")
AT_LEAST_0 = Range()
FRACTION = Range(0.0, 1.0, hint="the average over past steps would not be one")

# By name, as `with_settings` sees a state and not the rule that made it: the settings of the wrappers, whose functions
# check their arguments by them too, and those of the rules of this package, which `declare` adds.
_BY_NAME: dict[str, Allowed] = {
    "learning_rate": RATE,
    "decay": FRACTION,
    "steps": Whole(1),
    "seed": Whole(-LARGEST_SEED, LARGEST_SEED),
    "growth_interval": AtLeast(1),
    **dict.fromkeys(("warmup", "patience", "begin"), AtLeast(0)),
    **dict.fromkeys(("max_norm", "max_delta", "threshold", "max_spike", "loss_scale"), Positive()),
}

# Settings of the wrappers that cannot be schedules, and why.
_CONSTANT = {"seed": "one seed serves all steps", "loss_scale": "it halves and doubles during the run"}


def declare(ranges: Mapping[str, Range]) -> None:
    """Let `with_settings` check the settings of a rule of this package; a name of two rules has the wider range."""
    for name, new in ranges.items():
        old = _BY_NAME.get(name, new)
        if isinstance(old, Range):
            _BY_NAME[name] = Range(min(old.low, new.low), max(old.high, new.high), old.optional, old.hint)


def declared(name: str) -> Allowed | None:
    """The range that a setting of this package has, whatever rule or wrapper it belongs to."""
    return _BY_NAME.get(name)


def number(where: str, name: str, value: Any, allowed: Allowed | None = None) -> Any:
    """A Python or numpy number, checked and as a float; anything else unchanged.

    Args:
        where: the name of the optimizer, for messages.
        name: the name of the setting.
        value: a number, or an object that is or becomes one later; its smallest and largest number are checked if it
            has them as `bounds`.
        allowed: the range; default: every number.

    Returns:
        A float for a number, else `value`.

    Raises:
        TypeError: for a boolean, a text, or a list, tuple, set or dictionary.
        ValueError: for NaN and for a number outside of the range.
    """
    if isinstance(value, bool | str | bytes | np.bool_):
        raise TypeError(f"{where}: {name}={value!r} is a {type(value).__name__}: give a number or a schedule")
    if isinstance(value, list | set | dict) or type(value) is tuple:
        raise TypeError(
            f"{where}: {name}={value!r} is a {type(value).__name__}: give one number or a schedule, or build one "
            "optimizer for each number"
        )
    if not isinstance(value, int | float | np.number):
        for bound in getattr(value, "bounds", None) or ():
            number(where, name, bound, allowed)
        return value
    value = float(value)
    if math.isnan(value):
        raise ValueError(f"{where}: {name} is not a number (NaN)")
    return value if allowed is None else allowed.check(where, name, value)


def check_constant(where: str, name: str, value: Any) -> None:
    """Refuse a schedule for a setting that cannot be one.

    Raises:
        TypeError: if `value` is a schedule or a function.
    """
    if name in _CONSTANT and callable(value):
        raise TypeError(f"{where}: {name}={value!r} must be a number: {_CONSTANT[name]}")


def check_scalar(where: str, name: str, value: Any) -> None:
    """Refuse an array of several numbers, which would give each column of a parameter its own setting.

    Raises:
        ValueError: if `value` is an array with axes.
    """
    shape = getattr(value, "shape", ())
    if isinstance(value, jax.Array | np.ndarray) and shape:
        raise ValueError(
            f"{where}: {name} has shape {shape}, and one optimizer has one number. To build one for each, write "
            f"jax.vmap(lambda {name}: {where}({'' if name == 'learning_rate' else name + '='}{name}))(values), "
            "and call jax.vmap over what it returns"
        )


def split_arguments(
    where: str, arguments: Mapping[str, Any], ranges: Mapping[str, Range] | None = None, foreign: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split arguments into data and static structure (`None` and plain functions).

    Args:
        where: the name of the optimizer, for messages.
        arguments: the arguments that may be numbers, by name.
        ranges: the ranges by name; default: those that the names have in this package.
        foreign: whether it is an optimizer of optax, of which only the learning rate is checked.

    Returns:
        The data, and the static arguments.

    Raises:
        TypeError: for `None` where a number is needed, a schedule where there can be none, and for what is no number.
        ValueError: for a number outside of its range, or an array with axes.
    """
    data: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    ranges = ranges or {}
    known: Mapping[str, Any] = {"learning_rate": RATE} if foreign else ranges or _BY_NAME
    for name, value in arguments.items():
        if not ranges and not foreign:
            check_constant(where, name, value)
        allowed = ranges.get(name)
        if (
            value is None
            and not foreign
            and (name == "learning_rate" or (allowed is not None and not allowed.optional))
        ):
            raise TypeError(
                f"{where}: {name} is None: give a number or a schedule, as 1e-3. As axes for jax.vmap, write the "
                f"optimizer inside of it: jax.vmap(lambda {name}: {where}(...))"
            )
        if value is None:
            fixed[name] = None
        elif callable(value) and jax.tree_util.all_leaves([value]):
            fixed[name] = PlainFunction(value)
        else:
            data[name] = number(where, name, value, known.get(name))
            if name in known or name in _BY_NAME:
                check_scalar(where, name, value)
    return data, fixed


def flag(where: str, name: str, value: Any) -> bool:
    """A static argument that is true or false.

    Raises:
        TypeError: if it is something else, as a choice of a sweep, which would count as true.
    """
    if not isinstance(value, bool | int | np.bool_ | np.ndarray | jax.Array):
        raise TypeError(
            f"{where}: {name}={value!r} is a {type(value).__name__}: give True or False. For both in one sweep, write "
            f"choice([{where}(..., {name}=False), {where}(..., {name}=True)])"
        )
    return bool(value)


def dtype(name: str, value: Any) -> np.dtype | None:
    """A dtype argument in one form, or `None`.

    Raises:
        ValueError: if it is not a floating or complex dtype.
    """
    if value is None:
        return None
    kind = jax.dtypes.canonicalize_dtype(value)
    if not jax.dtypes.issubdtype(kind, np.inexact):
        raise ValueError(f"{name}={value!r} cannot store a moment: give a floating dtype, as jax.numpy.bfloat16")
    return kind
