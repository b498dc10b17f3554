"""Words of messages: what is offered in the place of an unknown name, scores, and nouns with their number."""

import difflib
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


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`, `1,200 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
