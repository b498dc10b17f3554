"""Optimizers that are data: optax transformations whose numeric settings are the leaves of a pytree.

Adding one is one file with one function and one row. `lamb.py`, which any program can import:

    import jax.numpy as jnp
    from jaxopt_lite.optimizers import register
    from jaxopt_lite.optimizers.rules import AT_LEAST_0, FRACTION, RATE, Moment, Rule, one_minus_power, root, square

    def per_leaf(g, p, m, s):
        # one array: gradient, parameter, moments, settings (`s.t` is the step 1, 2, ...)
        mu = s.b1 * m.mu + (1 - s.b1) * g
        nu = s.b2 * m.nu + (1 - s.b2) * square(g)
        mean, spread = mu / one_minus_power(1 - s.b1, s.t), nu / one_minus_power(1 - s.b2, s.t)
        direction = mean / (root(spread) + s.eps)
        if s.weight_decay is not None:  # None where the mask says that p does not decay
            direction = direction + s.weight_decay * p
        size, length = jnp.sum(square(p)), jnp.sum(square(direction))
        trust = jnp.where((size > 0) & (length > 0), root(size) / root(length), 1.0)
        return -s.learning_rate * trust * direction, {"mu": mu, "nu": nu}

    LAMB = Rule(
        name="lamb",
        settings={"learning_rate": RATE, "b1": FRACTION, "b2": FRACTION, "eps": AT_LEAST_0, "weight_decay": AT_LEAST_0},
        moments={"mu": Moment(), "nu": Moment(signed=False)},
        per_leaf=per_leaf,
        needs_params=True,
    )

    def lamb(learning_rate, b1=0.9, b2=0.999, eps=1e-6, weight_decay=0.0, mask=None):
        # the public function: its name is the rule's
        return LAMB(learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask)

    register(
        lamb,
        title="LAMB",
        formula="p ← p − learning_rate·(|p|/|d|)·d with d = adam's direction + weight_decay·p",
        use="Very large batches.",
        weakness="Two copies of the parameters; the norms cost a pass over each array.",
        reference="You et al., 2020",
        learning_rate=(1e-4, 0.1),
    )

Then it is in `CATALOGUE`, `optimizers.lamb` and the sweeps, and `optimizers.check("lamb")` tests the laws that all
optimizers here obey. Inside the package the file is `rules/_lamb.py` without the import and the call of `register`,
and its row is `[lamb]` in `catalogue.toml`, with the same fields, `memory = 2` (copies of the parameters) and
`settings`, the defaults of its numbers.
"""

from typing import TYPE_CHECKING, Any

from jaxopt_lite.optimizers import rows
from jaxopt_lite.optimizers._apply import apply_updates
from jaxopt_lite.optimizers._attributes import attribute
from jaxopt_lite.optimizers._catalogue import CATALOGUE, Optimizer, register
from jaxopt_lite.optimizers._laws import check
from jaxopt_lite.optimizers._norms import global_norm
from jaxopt_lite.optimizers._ranges import Range
from jaxopt_lite.optimizers._settings import settings, with_settings
from jaxopt_lite.optimizers._takeover import from_optax, swap
from jaxopt_lite.optimizers._transform import State, Transform
from jaxopt_lite.optimizers._types import Schedule, Setting
from jaxopt_lite.optimizers.rules._adadelta import adadelta
from jaxopt_lite.optimizers.rules._adagrad import adagrad
from jaxopt_lite.optimizers.rules._adam import adam, adamw
from jaxopt_lite.optimizers.rules._adamax import adamax
from jaxopt_lite.optimizers.rules._amsgrad import amsgrad
from jaxopt_lite.optimizers.rules._lion import lion
from jaxopt_lite.optimizers.rules._nadam import nadam, nadamw
from jaxopt_lite.optimizers.rules._rmsprop import rmsprop
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._sgd import sgd
from jaxopt_lite.optimizers.rules._values import Values
from jaxopt_lite.optimizers.schedules._decays import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
    polynomial_schedule,
)
from jaxopt_lite.optimizers.schedules._joined import join_schedules, sgdr_schedule
from jaxopt_lite.optimizers.schedules._onecycle import cosine_onecycle_schedule, linear_onecycle_schedule
from jaxopt_lite.optimizers.schedules._piecewise import (
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
)
from jaxopt_lite.optimizers.schedules._warmups import (
    inverse_sqrt_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_stable_decay_schedule,
)
from jaxopt_lite.optimizers.wrappers._accumulate import accumulate, mean_gradients
from jaxopt_lite.optimizers.wrappers._average import average, averaged
from jaxopt_lite.optimizers.wrappers._chain import chain
from jaxopt_lite.optimizers.wrappers._clip import clip, clip_by_block_rms, clip_by_global_norm
from jaxopt_lite.optimizers.wrappers._compress import compress
from jaxopt_lite.optimizers.wrappers._guard import guard, loss_scale_of
from jaxopt_lite.optimizers.wrappers._lift import lift
from jaxopt_lite.optimizers.wrappers._partition import partition_by_path
from jaxopt_lite.optimizers.wrappers._split_master import split_master
from jaxopt_lite.optimizers.wrappers._stochastic_rounding import stochastic_rounding

__all__ = [
    "CATALOGUE",
    "Moment",
    "Optimizer",
    "Range",
    "Rule",
    "Schedule",
    "Setting",
    "State",
    "Transform",
    "Values",
    "accumulate",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "apply_updates",
    "average",
    "averaged",
    "chain",
    "check",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "compress",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "from_optax",
    "global_norm",
    "guard",
    "inverse_sqrt_schedule",
    "join_schedules",
    "lift",
    "linear_onecycle_schedule",
    "linear_schedule",
    "lion",
    "loss_scale_of",
    "mean_gradients",
    "nadam",
    "nadamw",
    "partition_by_path",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "register",
    "rmsprop",
    "rows",
    "settings",
    "sgd",
    "sgdr_schedule",
    "split_master",
    "stochastic_rounding",
    "swap",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_stable_decay_schedule",
    "with_settings",
]

if not TYPE_CHECKING:  # a type checker that saw it would accept every name

    def __getattr__(name: str) -> Any:
        return attribute(name, __all__)
