"""A Flax module, NNX or Linen, as two pure functions of arrays."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import linen, nnx

Array = jax.Array
_TRAIN_ARGUMENTS = {"train": True, "training": True, "is_training": True, "deterministic": False}


class Weights(NamedTuple):
    """The arrays of a module: what is learned, and what else changes (statistics, random counters)."""

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
        parts: Any = nnx.split(module, nnx.Param, ...)
        return Weights(*parts[1:])
    if isinstance(module, linen.Module):
        variables = module.init(_streams(key), x, **_mode(module, train=False))
        return Weights(variables["params"], {k: v for k, v in variables.items() if k != "params"})
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
    # built anew in each trace, so that a module may keep numbers of the trial in attributes and closures;
    # what it draws while it is built is not used, and XLA drops it
    module = build(trial, nnx.Rngs(key))
    if isinstance(module, nnx.Module):
        nnx.update(module, weights.params, weights.state)
        if not train:
            module.eval()
            return module(x), weights.state
        module.train()
        y = module(x)
        nnx.pop(module, nnx.Intermediate)  # what was sown is for the caller of a module, not for the next step
        parts: Any = nnx.split(module, nnx.Param, ...)
        return y, parts[2]
    variables = {"params": weights.params, **weights.state}
    options = _mode(module, train=train)
    if not train:
        return module.apply(variables, x, rngs=_streams(key), **options), weights.state
    keys = _streams(key)
    y, new = module.apply(variables, x, rngs=keys, mutable=list(weights.state), **options)
    return y, {kind: _kept(old, new.get(kind)) for kind, old in weights.state.items()}


def _streams(key: Array) -> dict[str, Array]:
    """Keys for a Linen module; streams of other names fall back to that of "params"."""
    return dict(zip(("params", "dropout"), jax.random.split(key), strict=True))


def _kept(old: Any, new: Any) -> Any:
    """A collection after a step; one that grows, as what is sown does, stays as it was initialised."""
    return new if str(jax.tree.structure(old)) == str(jax.tree.structure(new)) else old


def _mode(module: linen.Module, *, train: bool) -> dict[str, Any]:
    taken = inspect.signature(type(module).__call__).parameters
    return {name: train is meaning for name, meaning in _TRAIN_ARGUMENTS.items() if name in taken}
