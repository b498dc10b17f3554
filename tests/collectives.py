"""What a compiled program sends between devices."""

import math
import re
from collections import Counter
from typing import Any

_OPERATION = re.compile(
    r"= (?P<results>.*?) "
    r"(?P<name>all-gather|all-reduce|all-to-all|collective-broadcast|collective-permute|ragged-all-to-all|reduce-scatter)"
    r"(?:-start)?\("
)
_ARRAY = re.compile(r"\b(?:pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<shape>[\d,]*)\]")


def moved(compiled: Any) -> Counter[str]:
    """Bytes of the results on one device of the collective operations of a compiled program, by their name.

    Operations inside loops and branches count once.
    """
    found = Counter[str]()
    for line in compiled.as_text().splitlines():
        operation = _OPERATION.search(line)
        if operation:
            found[operation["name"]] += sum(
                math.prod(map(int, filter(None, array["shape"].split(",")))) * max(1, int(array["bits"] or 8) // 8)
                for array in _ARRAY.finditer(operation["results"])
            )
    return found
