"""Optimizers that are data: optax transformations whose numeric settings are the leaves of a pytree."""

from jaxopt_lite.optimizers._adagrad import adagrad
from jaxopt_lite.optimizers._adam import adam, adamw
from jaxopt_lite.optimizers._catalogue import CATALOGUE, Optimizer
from jaxopt_lite.optimizers._chain import chain
from jaxopt_lite.optimizers._lift import lift
from jaxopt_lite.optimizers._rmsprop import rmsprop
from jaxopt_lite.optimizers._schedules import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    warmup_cosine_decay_schedule,
)
from jaxopt_lite.optimizers._settings import settings, with_settings
from jaxopt_lite.optimizers._sgd import sgd
from jaxopt_lite.optimizers._transform import State, Transform

__all__ = [
    "CATALOGUE",
    "Optimizer",
    "State",
    "Transform",
    "adagrad",
    "adam",
    "adamw",
    "chain",
    "constant_schedule",
    "cosine_decay_schedule",
    "exponential_decay",
    "lift",
    "rmsprop",
    "settings",
    "sgd",
    "warmup_cosine_decay_schedule",
    "with_settings",
]
