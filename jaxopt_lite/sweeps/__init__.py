"""Many runs: spaces of trials, trained by a few compiled programs, kept in a ledger."""

from typing import Any as _Any

from jaxopt_lite._names import nearest as _nearest
from jaxopt_lite.sweeps._estimate import estimate as estimate
from jaxopt_lite.sweeps._estimate import matmul_rate as matmul_rate
from jaxopt_lite.sweeps._plan import Plan as Plan
from jaxopt_lite.sweeps._plan import plan as plan
from jaxopt_lite.sweeps._progress import Progress as Progress
from jaxopt_lite.sweeps._run import execute as execute
from jaxopt_lite.sweeps._run import run as run
from jaxopt_lite.sweeps.execution._processes import processes as processes
from jaxopt_lite.sweeps.execution._ray import ray as ray
from jaxopt_lite.sweeps.programs._layout import Layout as Layout
from jaxopt_lite.sweeps.results._columns import Generation as Generation
from jaxopt_lite.sweeps.results._compare import Difference as Difference
from jaxopt_lite.sweeps.results._reasons import Reason as Reason
from jaxopt_lite.sweeps.results._results import Results as Results
from jaxopt_lite.sweeps.results._setting import Mean as Mean
from jaxopt_lite.sweeps.results._setting import Setting as Setting
from jaxopt_lite.sweeps.spaces._ranges import Range as Range
from jaxopt_lite.sweeps.spaces._space import choice as choice
from jaxopt_lite.sweeps.spaces._space import integers as integers
from jaxopt_lite.sweeps.spaces._space import log_uniform as log_uniform
from jaxopt_lite.sweeps.spaces._space import uniform as uniform
from jaxopt_lite.sweeps.spaces._space import values as values
from jaxopt_lite.sweeps.spaces._trials import Trial as Trial
from jaxopt_lite.sweeps.store._ledger import StoreError as StoreError
from jaxopt_lite.sweeps.strategies import halving as halving
from jaxopt_lite.sweeps.strategies import hyperband as hyperband
from jaxopt_lite.sweeps.strategies import median as median
from jaxopt_lite.sweeps.strategies import optuna as optuna
from jaxopt_lite.sweeps.strategies import population as population


def __getattr__(name: str) -> _Any:
    similar = None if name.startswith("_") else _nearest(name, (x for x in globals() if not x.startswith("_")))
    suggestion = f": did you mean {similar!r}?" if similar else ""
    raise AttributeError(f"module 'jaxopt_lite.sweeps' has no attribute {name!r}{suggestion}")
