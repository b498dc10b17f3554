"""The same functions elsewhere: in `jax.nn`, and in PyTorch where that is installed."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_accuracy import Array, Evaluate, orders


def in_jax_nn(name: str) -> Callable[..., Any] | None:
    """The function of `jax.nn` that a row replaces."""
    if name == "gelu_exact":
        return partial(jax.nn.gelu, approximate=False)
    return None if name == "swish" else getattr(jax.nn, name, None)  # there, swish is silu


def _gated(gate: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    def formula(x: jax.Array) -> jax.Array:
        linear, gating = jnp.split(x, 2, -1)
        return linear * gate(gating)

    return formula


def _rational(x: jax.Array) -> jax.Array:
    initial = CATALOGUE["rational"].initial
    above = jnp.polyval(jnp.asarray(initial["numerator"][::-1], x.dtype), x)
    return above / (1 + jnp.abs(jnp.polyval(jnp.asarray((*initial["denominator"][::-1], 0.0), x.dtype), x)))


# What a user writes for the rows that `jax.nn` does not have, with the settings at which they are timed.
FORMULAS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "prelu": partial(jax.nn.leaky_relu, negative_slope=0.25),
    "srelu": lambda x: jnp.where(x < 0, 0.2 * x, x),
    "relu_squared": lambda x: jnp.square(jax.nn.relu(x)),
    "threshold": lambda x: jnp.where(x > 1, x, 0),
    "pelu": jax.nn.elu,
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "swish": jax.nn.silu,
    "acon_c": jax.nn.silu,
    "binary_step": lambda x: jnp.where(x > 0, 1, 0).astype(x.dtype),
    "softshrink": lambda x: jnp.where(jnp.abs(x) > 0.5, x - 0.5 * jnp.sign(x), 0),
    "hardshrink": lambda x: jnp.where(jnp.abs(x) > 0.5, x, 0),
    "tanhshrink": lambda x: x - jnp.tanh(x),
    "sine": jnp.sin,
    "snake": lambda x: x + jnp.sin(x) ** 2,
    "gaussian": lambda x: jnp.exp(-x * x),
    "rational": _rational,
    "reglu": _gated(jax.nn.relu),
    "geglu": _gated(partial(jax.nn.gelu, approximate=False)),
    "swiglu": _gated(jax.nn.silu),
    "bilinear": _gated(lambda x: x),
    "maxout": lambda x: x.reshape(*x.shape[:-1], -1, 2).max(-1),
    "crelu": lambda x: jax.nn.relu(jnp.concatenate([x, -x], -1)),
}


def plain(name: str) -> Callable[..., Any] | None:
    """The function of `jax.nn` that a row replaces, else the formula in `jax.numpy`; None for sparsemax."""
    return in_jax_nn(name) or FORMULAS.get(name)


def evaluators(name: str) -> dict[str, Evaluate]:
    """How each library evaluates the row and its derivatives along its probe."""
    row = CATALOGUE[name]
    found: dict[str, Evaluate] = {"jaxopt_lite": orders(row.probe)}
    if theirs := in_jax_nn(name):
        found["jax.nn"] = orders(row._replace(function=theirs, settings={}, initial={}).probe)
    if (function := _in_torch(name)) is not None:
        found["torch"] = _torch_orders(function)
    return found


def _in_torch(name: str) -> Callable[..., Any] | None:
    if find_spec("torch") is None:
        return None
    import torch
    from torch.nn import functional as F

    same: dict[str, Callable[..., Any]] = {
        "relu": F.relu,
        "relu6": F.relu6,
        "leaky_relu": F.leaky_relu,
        "elu": F.elu,
        "celu": F.celu,
        "selu": F.selu,
        "gelu": partial(F.gelu, approximate="tanh"),
        "gelu_exact": F.gelu,
        "silu": F.silu,
        "mish": F.mish,
        "softplus": F.softplus,
        "sigmoid": torch.sigmoid,
        "log_sigmoid": F.logsigmoid,
        "tanh": torch.tanh,
        "soft_sign": F.softsign,
        "hard_tanh": F.hardtanh,
        "softshrink": F.softshrink,
        "hardshrink": F.hardshrink,
        "tanhshrink": F.tanhshrink,
        "sine": torch.sin,
    }
    return same.get(name)


def _torch_orders(function: Callable[..., Any]) -> Evaluate:
    import torch

    def evaluate(x: Array) -> tuple[Array, ...]:
        half = x.dtype.name
        at = torch.from_numpy(x.astype(np.float32)).to(getattr(torch, half)).requires_grad_()
        y = function(at)
        (first,) = torch.autograd.grad(y, at, torch.ones_like(y), create_graph=True)
        second = torch.zeros_like(at)
        if first.requires_grad:
            (second,) = torch.autograd.grad(first, at, torch.ones_like(first), allow_unused=True)
        parts = (y, first, torch.zeros_like(at) if second is None else second)
        return tuple(part.detach().to(torch.float32).numpy() for part in parts)

    return evaluate
