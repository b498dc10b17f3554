"""A Flax module, NNX or Linen, as two pure functions of arrays."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import linen, nnx

from jaxopt_lite.activations import Bound

Array = jax.Array
# A bound activation may be assigned to an attribute of a module as it is: its settings are part of the module's state.
nnx.register_data_type(Bound)
_TRAIN_ARGUMENTS = {"train": True, "training": True, "is_training": True, "deterministic": False}


class Weights(NamedTuple):
    """A module taken apart: what is learned, what else changes (statistics, random counters), and the rest."""

    graph: Any  # structure without leaves; None for Linen, which is rebuilt from the trial
    params: Any
    state: Any


def initialise(build: Callable[[Any, nnx.Rngs], Any], trial: Any, x: Array, key: Array) -> Weights:
    """Build the module of `trial` and take it apart; `x` is a batch to infer Linen's shapes from.

    Raises:
        TypeError: `build` gives neither an `nnx.Module` nor a `linen.Module`.
    """
    module = build(trial, nnx.Rngs(key))
    if isinstance(module, nnx.Module):
        nnx.pop(module, nnx.Intermediate)
        return Weights(*nnx.split(module, nnx.Param, ...))
    if isinstance(module, linen.Module):
        params_key, dropout_key = jax.random.split(key)
        keys = {"params": params_key, "dropout": dropout_key}
        variables = module.init(keys, x, **_mode(module, train=False))
        return Weights(None, variables["params"], {k: v for k, v in variables.items() if k != "params"})
    raise TypeError(
        f"build(trial, rngs) returned {type(module).__name__}, which is not a Flax module; "
        "return an nnx.Module or a linen.Module"
    )


def outputs(
    build: Callable[[Any, nnx.Rngs], Any], trial: Any, weights: Weights, x: Array, key: Array, *, train: bool
) -> tuple[Array, Any]:
    """The module's outputs for the batch `x`, and its other state afterwards (unchanged unless `train`).

    `train` sets NNX modules to `train()` or `eval()`, and is handed to Linen modules whose `__call__` takes
    `train`, `training`, `is_training` or `deterministic`.
    """
    if weights.graph is not None:
        module = nnx.merge(weights.graph, weights.params, weights.state, copy=True)
        if not train:
            module.eval()
            return module(x), weights.state
        module.train()
        y = module(x)
        nnx.pop(module, nnx.Intermediate)  # what was sown is for the caller of a module, not for the next step
        taken: Any = nnx.split(module, nnx.Param, ...)
        return y, taken[2]
    module = build(trial, nnx.Rngs(key))
    variables = {"params": weights.params, **weights.state}
    options = _mode(module, train=train)
    if not train:
        return module.apply(variables, x, **options), weights.state
    keys = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))  # other streams fall back to "params"
    y, new = module.apply(variables, x, rngs=keys, mutable=list(weights.state), **options)
    return y, {kind: _kept(old, new.get(kind)) for kind, old in weights.state.items()}


def _kept(old: Any, new: Any) -> Any:
    """A collection after a step; one that grows, as what is sown does, stays as it was initialised."""
    return new if str(jax.tree.structure(old)) == str(jax.tree.structure(new)) else old


def _mode(module: linen.Module, *, train: bool) -> dict[str, Any]:
    taken = inspect.signature(type(module).__call__).parameters
    return {name: train is meaning for name, meaning in _TRAIN_ARGUMENTS.items() if name in taken}
