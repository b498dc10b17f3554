"""What may vary: distributions at the leaves of a pytree, alternatives in its structure."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np


class Distribution(ABC):
    """A number to be drawn, at a leaf of a space. Made by `log_uniform`, `uniform`, `integers`, `values`."""

    @abstractmethod
    def quantile(self, u: float) -> Any:
        """The number below which a share `u` of the distribution lies, 0 <= u < 1."""

    @abstractmethod
    def moved(self, number: Any, factor: float) -> Any:
        """`number` times `factor`, within the bounds; of listed numbers the next larger or smaller one."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Any, Any]:
        """Its smallest and its largest number."""

    def grid(self) -> Sequence[Any] | None:
        """All its numbers, or None for a continuous range."""
        return None


# The records of a space are not NamedTuples, which JAX would flatten inside an optimizer.
@dataclass(frozen=True, repr=False)
class _Interval(Distribution):
    """Any number from `low` to below `high`."""

    low: float
    high: float

    def moved(self, number: float, factor: float) -> float:
        """The product, or the bound that it passes."""
        low, high = self.bounds
        return min(max(number * factor, low), high)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower end, and the last number below the upper end."""
        return self.low, math.nextafter(self.high, self.low)


@dataclass(frozen=True, repr=False)
class Uniform(_Interval):
    """Equally likely anywhere from `low` to `high`."""

    def quantile(self, u: float) -> float:
        """The number at the share `u` of the way."""
        return self.low + u * (self.high - self.low)

    def __repr__(self) -> str:
        return f"uniform({self.low:g}, {self.high:g})"


@dataclass(frozen=True, repr=False)
class LogUniform(_Interval):
    """Equally likely in every decade from `low` to `high`."""

    def quantile(self, u: float) -> float:
        """The number at the share `u` of the way, counted in decades."""
        return self.low * (self.high / self.low) ** u

    def __repr__(self) -> str:
        return f"log_uniform({self.low:g}, {self.high:g})"


@dataclass(frozen=True, repr=False)
class Values(Distribution):
    """One of the given numbers, each equally likely."""

    numbers: tuple[Any, ...]

    def quantile(self, u: float) -> Any:
        """The number at the share `u` of the list."""
        return self.numbers[int(u * len(self.numbers))]

    def moved(self, number: Any, factor: float) -> Any:
        """The next larger number of the list if `factor` is above 1, else the next smaller one."""
        ordered = sorted(self.numbers)
        at = ordered.index(number) + (1 if factor > 1 else -1)
        return ordered[min(max(at, 0), len(ordered) - 1)]

    def grid(self) -> list[Any]:
        """The numbers."""
        return list(self.numbers)

    @property
    def bounds(self) -> tuple[Any, Any]:
        """The smallest and the largest number of the list."""
        return min(self.numbers), max(self.numbers)

    def __repr__(self) -> str:
        return f"values([{', '.join(f'{x:g}' for x in self.numbers)}])"


@dataclass(frozen=True, repr=False)
class Integers(Distribution):
    """A whole number from `low` to `high`, each equally likely."""

    low: int
    high: int

    def quantile(self, u: float) -> int:
        """The number at the share `u` of the range."""
        return self.low + int(u * (self.high - self.low + 1))

    def moved(self, number: int, factor: float) -> int:
        """The rounded product, at least 1 away from `number`, or the bound that it passes."""
        product = round(number * factor)
        wanted = max(product, number + 1) if factor > 1 else min(product, number - 1)
        return min(max(wanted, self.low), self.high)

    def grid(self) -> Sequence[int]:
        """The numbers."""
        return range(self.low, self.high + 1)

    @property
    def bounds(self) -> tuple[int, int]:
        """Both ends."""
        return self.low, self.high

    def __repr__(self) -> str:
        return f"integers({self.low}, {self.high})"


class Choice:
    """One of several alternatives, each of which compiles its own program; made by `choice`."""

    def __init__(self, alternatives: Sequence[Any], labels: Sequence[str], named: bool = False) -> None:
        self.alternatives = tuple(alternatives)
        self.labels = tuple(labels)
        self.named = named  # whether the user gave the labels

    def __repr__(self) -> str:
        return f"choice([{', '.join(self.labels)}])"


def uniform(low: float, high: float) -> Distribution:
    """A number with the uniform distribution on [low, high).

    Args:
        low: the lower end, finite.
        high: the upper end, finite and above `low`.

    Returns:
        A distribution, for a leaf of a space.

    Raises:
        ValueError: `low` is not below `high`, or one is not finite.
        TypeError: one is not a number.

    Example:
        >>> uniform(0.8, 0.99)
        uniform(0.8, 0.99)
    """
    return Uniform(*_bounds("uniform", low, high))


def log_uniform(low: float, high: float) -> Distribution:
    """A number whose logarithm is uniform in [log low, log high): every decade is equally likely.

    For settings whose scale is unknown: learning rates, weight decay.

    Args:
        low: the lower end, finite and above 0.
        high: the upper end, finite and above `low`.

    Returns:
        A distribution, for a leaf of a space.

    Raises:
        ValueError: `low` is not positive, not below `high`, or one is not finite.
        TypeError: one is not a number.

    Example:
        >>> log_uniform(1e-4, 1e-1)
        log_uniform(0.0001, 0.1)
    """
    low, high = _bounds("log_uniform", low, high)
    if low <= 0:
        raise ValueError(f"log_uniform({low:g}, {high:g}): low must be positive, logarithms of the rest do not exist")
    return LogUniform(low, high)


def integers(low: int, high: int) -> Distribution:
    """An integer from `low` to `high`, both included. It is data: it cannot be a shape (use `choice` for widths).

    Args:
        low: the smallest number, at least −2³¹.
        high: the largest number, at least `low` and below 2³¹.

    Returns:
        A distribution, for a leaf of a space.

    Raises:
        ValueError: a bound is not a whole number of 32 bits, or `low` is above `high`.

    Example:
        >>> integers(10, 200)
        integers(10, 200)
    """
    whole = all(isinstance(x, int | np.integer) and not isinstance(x, bool) for x in (low, high))
    if not whole or not -(1 << 31) <= low <= high < 1 << 31:
        raise ValueError(f"integers({low!r}, {high!r}) needs whole numbers with low <= high, of 32 bits at most")
    return Integers(int(low), int(high))


def values(numbers: Iterable[float]) -> Distribution:
    """One of the given numbers, all of which share a compiled program.

    Args:
        numbers: different numbers, at least one.

    Returns:
        A distribution, for a leaf of a space.

    Raises:
        ValueError: no number is given, one twice, or only whole numbers of which one has more than 32 bits.
        TypeError: one of them is not a number; use `choice` for other alternatives.

    Example:
        >>> values([0.01, 0.1])
        values([0.01, 0.1])
    """
    given = tuple(x.item() if isinstance(x, np.generic | np.ndarray) else x for x in numbers)
    if not given:
        raise ValueError("values([]) is empty; give at least one number")
    for x in given:
        if isinstance(x, bool) or not isinstance(x, int | float):
            raise TypeError(f"values takes numbers, got {x!r}; use choice([...]) for alternatives that are not numbers")
    if len(set(given)) < len(given):
        raise ValueError(f"values({list(given)}) has a number twice, which would train the same trial twice")
    if any(isinstance(x, float) for x in given):
        return Values(tuple(map(float, given)))
    if not all(-(1 << 31) <= x < 1 << 31 for x in given):
        raise ValueError(f"values({list(given)}) has a whole number of more than 32 bits; write numbers as 3e9 instead")
    return Values(given)


def choice(alternatives: Sequence[Any] | Mapping[str, Any], *more: Any) -> Choice:
    """One of several alternatives, which may contain distributions and choices themselves.

    Alternatives are static: each compiles its own program, except that on CPU optimizers may share one.

    Args:
        alternatives: a list, whose labels in tables are the names of its functions and optimizers or its texts, or a
            dict from label to alternative. At least one.
        *more: nothing. `choice(a, b)` is an error whose message says to write `choice([a, b])`.

    Returns:
        The choice, for a leaf of a space.

    Raises:
        ValueError: no alternative is given.
        TypeError: `alternatives` is neither a list nor a dict, or there is more than one argument.

    Example:
        >>> from jaxopt_lite import optimizers as opt
        >>> choice({"small": 32, "large": 256})
        choice([small, large])
        >>> choice([opt.sgd(log_uniform(1e-3, 1)), opt.adam(values([1e-3, 1e-2]))])
        choice([sgd, adam])
    """
    if more:
        raise TypeError(
            f"choice takes one list of alternatives: write choice([{', '.join(map(label, (alternatives, *more)))}])"
        )
    if isinstance(alternatives, Mapping):
        labels, given = [str(label) for label in alternatives], list(alternatives.values())
    elif isinstance(alternatives, Sequence) and not isinstance(alternatives, str):
        given = list(alternatives)
        labels = distinct([label(x) for x in given], given)
    else:
        raise TypeError(
            f"choice takes a list of alternatives or a dict from label to alternative, got {alternatives!r}"
        )
    if not given:
        raise ValueError("choice([]) is empty; give at least one alternative")
    return Choice(given, labels, isinstance(alternatives, Mapping))


def label(thing: Any) -> str:
    """The name of a thing in tables: that of a function or an optimizer, else its text."""
    if isinstance(thing, partial):
        given = [*map(repr, thing.args), *(f"{k}={v!r}" for k, v in thing.keywords.items())]
        return f"{label(thing.func)}({', '.join(given)})"
    named = getattr(thing, "name", None) or getattr(thing, "__name__", None)
    if isinstance(named, str):
        return named
    text = str(thing)
    # a text with an address in it would differ in every process
    return type(thing).__name__ if " at 0x" in text else text


def distinct(labels: list[str], things: list[Any]) -> list[str]:
    """Labels that differ: equal ones get the settings in which their things differ, or else a number."""
    out = list(labels)
    for name in {x for x in labels if labels.count(x) > 1}:
        same = [i for i, x in enumerate(labels) if x == name]
        settings = [getattr(things[i], "settings", None) or {} for i in same]
        keys = [k for k in settings[0] if len({repr(s.get(k)) for s in settings}) > 1]
        for nth, (i, given) in enumerate(zip(same, settings, strict=True), start=1):
            shown = [text for k in keys if (text := _shown(k, given.get(k)))]
            out[i] = f"{name}({', '.join(shown)})" if shown else name
            if out[i] in out[:i]:
                out[i] = f"{out[i]} #{nth}"
    return out


def _shown(name: str, setting: Any) -> str:
    """A setting as part of a label; omitted if it has its own column."""
    if setting is None or setting is False or isinstance(setting, Distribution):
        return ""
    if callable(setting):
        return getattr(setting, "__name__", repr(setting)).split("(")[0]
    return "" if name == "learning_rate" else f"{name}={setting}"


def _bounds(name: str, low: float, high: float) -> tuple[float, float]:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float | np.integer | np.floating):
            raise TypeError(f"{name}({low!r}, {high!r}) needs two numbers, got {bound!r}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{name}({low!r}, {high!r}) needs finite numbers with low < high")
    return float(low), float(high)
