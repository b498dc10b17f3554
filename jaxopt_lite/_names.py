"""Unknown names: one sentence that says what was given and offers the nearest valid one."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not in `known`: what was given, the nearest name, all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    offer = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {offer}known are {', '.join(known)}"
