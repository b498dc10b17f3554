"""Why a network does not train: statistics of its layers, a verdict in words, and code that changes it.

`diagnose` is the one call. The statistics are pure functions of arrays, and work inside a compiled training step too.
"""

from jaxopt_lite.diagnostics._diagnose import diagnose as diagnose
from jaxopt_lite.diagnostics._diagnosis import Diagnosis as Diagnosis
from jaxopt_lite.diagnostics._layer import Layer as Layer
from jaxopt_lite.diagnostics._record import Record as Record
from jaxopt_lite.diagnostics._record import record as record
from jaxopt_lite.diagnostics._remedies import Remedy as Remedy
from jaxopt_lite.diagnostics._rules import RULES as RULES
from jaxopt_lite.diagnostics._rules import Rule as Rule
from jaxopt_lite.diagnostics._statistics import dead_share as dead_share
from jaxopt_lite.diagnostics._statistics import flat_share as flat_share
from jaxopt_lite.diagnostics._statistics import likeness as likeness
from jaxopt_lite.diagnostics._statistics import norm as norm
from jaxopt_lite.diagnostics._statistics import offset as offset
from jaxopt_lite.diagnostics._statistics import root_mean_square as root_mean_square
from jaxopt_lite.diagnostics._statistics import update_ratio as update_ratio
