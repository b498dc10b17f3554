"""The table: every row of the catalogue, and the variants whose flags or `None`s change the program."""

import inspect
from typing import Any, NamedTuple

import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt


class Case(NamedTuple):
    """A configuration: ours, and optax's factory with the same arguments (`None`: optax has none)."""

    ours: Any
    settings: dict[str, Any]
    optax: Any

    def __call__(self, learning_rate: Any = 0.1, **more: Any) -> opt.Transform:
        return self.ours(learning_rate, **{**self.settings, **more})

    def reference(self, learning_rate: float = 0.1) -> Any:
        """Optax's transform; skips the test where the installed optax lacks an argument."""
        unknown = set(self.settings) - set(inspect.signature(self.optax).parameters)
        if unknown:
            pytest.skip(f"this optax has no {unknown}")
        return self.optax(learning_rate, **self.settings)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rmsprop outside": ("rmsprop", {"eps_in_sqrt": False}),
    "rmsprop centred": ("rmsprop", {"centered": True, "momentum": 0.9, "nesterov": True, "eps": 1e-3}),
    "rmsprop corrected": ("rmsprop", {"bias_correction": True}),
    "rmsprop momentum": ("rmsprop", {"momentum": 0.8}),
    "adam nesterov": ("adam", {"nesterov": True}),
    "adamw strong": ("adamw", {"weight_decay": 0.1, "b1": 0.8}),
    # Without the correction the rounding of b2 itself shows: 1 − b2 is 1.3e-5 off where 0.999 is stored in float32.
    "amsgrad uncorrected": (
        "amsgrad",
        {"b2": float(np.float32(0.999)), "bias_correction_mu": False, "bias_correction_nu": False},
    ),
    "nadam plain": ("nadam", {"nesterov": False}),
    "adadelta decay": ("adadelta", {"weight_decay": 0.1}),
    "lion plain": ("lion", {"b2": 0.3}),
    "adam root": ("adam", {"eps_root": 1e-6}),
}

CASES: dict[str, Case] = {}
for _name, _row in opt.CATALOGUE.items():
    _function = getattr(_row.function, "func", _row.function)
    _fixed = getattr(_row.function, "keywords", {})
    CASES[_name] = Case(_function, _fixed, getattr(optax, _function.__name__, None))
for _name, (_base, _settings) in VARIANTS.items():
    CASES[_name] = Case(getattr(opt, _base), _settings, getattr(optax, _base, None))
