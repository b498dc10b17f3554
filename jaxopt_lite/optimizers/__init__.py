"""Optimizers that are data: optax transformations whose numeric settings are the leaves of a pytree."""

from jaxopt_lite.optimizers import rows
from jaxopt_lite.optimizers._apply import apply_updates
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
