"""What a sweep trains next: rules that stop trials early, and searches that propose trials from the scores so far.

A strategy is a pure function from the history of a sweep to orders, so a resumed sweep makes the same decisions.
"""

from jaxopt_lite.sweeps.strategies._halving import halving as halving
from jaxopt_lite.sweeps.strategies._halving import hyperband as hyperband
from jaxopt_lite.sweeps.strategies._history import Adoption as Adoption
from jaxopt_lite.sweeps.strategies._history import History as History
from jaxopt_lite.sweeps.strategies._history import Never as Never
from jaxopt_lite.sweeps.strategies._history import Order as Order
from jaxopt_lite.sweeps.strategies._history import Run as Run
from jaxopt_lite.sweeps.strategies._history import Stop as Stop
from jaxopt_lite.sweeps.strategies._median import median as median
from jaxopt_lite.sweeps.strategies._optuna import Optuna as Optuna
from jaxopt_lite.sweeps.strategies._optuna import optuna as optuna
from jaxopt_lite.sweeps.strategies._population import Population as Population
from jaxopt_lite.sweeps.strategies._population import population as population
