"""One optimizer per file: its maths as a `Rule`, then its public function; and the functions that their maths needs."""

from jaxopt_lite.optimizers._arithmetic import inverse_root, one_minus_power, ratio, root, square
from jaxopt_lite.optimizers._ranges import AT_LEAST_0, FRACTION, RATE, Range
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values

__all__ = [
    "AT_LEAST_0",
    "FRACTION",
    "RATE",
    "Moment",
    "Range",
    "Rule",
    "Values",
    "inverse_root",
    "one_minus_power",
    "ratio",
    "root",
    "square",
]
