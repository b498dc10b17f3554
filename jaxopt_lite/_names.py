"""Words of messages: what is offered in the place of an unknown name, scores, and nouns with their number."""

import difflib
import math
from collections.abc import Iterable


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The valid name most similar to `name` regardless of case, or None if none is similar."""
    by_lower_case = {valid.lower(): valid for valid in sorted(known)}
    matches = difflib.get_close_matches(str(name).lower(), by_lower_case, n=1, cutoff=0.5)
    return by_lower_case[matches[0]] if matches else None


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The message for a `name` that is not in `known`.

    >>> unknown("task", "digit", ["digits", "spirals"])
    "unknown task 'digit': did you mean 'digits'? valid names are digits, spirals"
    """
    known = sorted(known)
    similar = nearest(name, known)
    suggestion = f"did you mean {similar!r}? " if similar else ""
    return f"unknown {kind} {name!r}: {suggestion}valid names are {', '.join(known)}"


def digits_of(score: float) -> str:
    """How a score is formatted: with 4 decimals, or 3 digits where these would show little of it.

    >>> f"{0.97211:{digits_of(0.97211)}} {2.4e-5:{digits_of(2.4e-5)}}"
    '0.9721 2.4e-05'
    """
    return ".4f" if score == 0 or 1e-3 <= abs(score) < 1e6 else ".3g"


def interval_of(mean: float, half_width: float, spec: str = "", sign: str = "") -> str:
    """A mean and half the width of its interval, which is omitted if there is none.

    Args:
        mean: the mean.
        half_width: half the width, or NaN.
        spec: how both are formatted. Default: as `digits_of` says.
        sign: "+" to show the sign of a positive mean.

    >>> interval_of(0.9721, 0.0042), interval_of(0.9721, 1e-5)
    ('0.9721 ± 0.0042', '0.9721 ± 1e-05')
    """
    shown = f"{mean:{sign}{spec or digits_of(mean)}}"
    if not math.isfinite(half_width):
        return shown
    hidden = not spec and 0 < half_width < 5e-5  # four decimals would show none of it
    return f"{shown} ± {half_width:{spec or ('.3g' if hidden else digits_of(mean))}}"


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`, `1,200 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
