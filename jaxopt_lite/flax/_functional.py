"""A Flax module, NNX or Linen, as two pure functions of arrays."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from flax import linen, nnx

Array = jax.Array
_TRAIN_ARGUMENTS = {"train": True, "training": True, "is_training": True, "deterministic": False}


class Weights(NamedTuple):
    """The arrays of a module.

    Attributes:
        params: what is learned: `nnx.Param`s, or the collection "params" of Linen.
        state: other arrays: running statistics, other variables of NNX, other collections of Linen. Random keys and
            counters are left out, for each call of `outputs` has a key.

    Example:
        >>> weights = initialise(lambda _, rngs: nnx.Linear(4, 3, rngs=rngs), None, jnp.ones((2, 4)), jax.random.key(0))
        >>> sorted(weights.params)
        ['bias', 'kernel']
    """

    params: Any
    state: Any


def initialise(build: Callable[[Any, nnx.Rngs], Any], trial: Any, x: Array, key: Array) -> Weights:
    """Build the module of a trial and return its arrays.

    Args:
        build: a function of (trial, rngs) that returns an `nnx.Module` or a `linen.Module`.
        trial: any pytree, passed to `build`; its numbers may be tracers.
        x: a batch of inputs, from which Linen infers shapes.
        key: a random key, which determines every initial weight.

    Returns:
        The initial weights, for `outputs`.

    Raises:
        TypeError: `build` returns neither an `nnx.Module` nor a `linen.Module`.

    Example:
        >>> build = lambda trial, rngs: nnx.Linear(4, trial["units"], rngs=rngs)
        >>> initialise(build, {"units": 3}, jnp.ones((2, 4)), jax.random.key(0)).params["kernel"].shape
        (4, 3)
    """
    module = build(trial, nnx.Rngs(key))
    if isinstance(module, nnx.Module):
        return _weights(module)
    if isinstance(module, linen.Module):
        variables = module.init(_streams(key), x, **mode(module, train=False))
        return Weights(variables.get("params", {}), {k: v for k, v in variables.items() if k != "params"})
    raise TypeError(
        f"build(trial, rngs) returned {type(module).__name__}, which is not a Flax module; "
        "return an nnx.Module or a linen.Module"
    )


def outputs(
    build: Callable[[Any, nnx.Rngs], Any], trial: Any, weights: Weights, x: Array, key: Array, *, train: bool
) -> tuple[Array, Any]:
    """Apply the module of a trial to a batch.

    Args:
        build: the function given to `initialise`.
        trial: any pytree, passed to `build`; its numbers may be tracers.
        weights: the arrays of the module, from `initialise` or a later step.
        x: a batch of inputs.
        key: a random key for dropout and other noise; for Linen the streams "params" and "dropout" are given, and
            streams of other names fall back to "params".
        train: whether this is a training step. NNX modules are set to `train()` or `eval()`; Linen modules get it as
            `train`, `training`, `is_training` or (negated) `deterministic`, if their `__call__` has such an argument.

    Returns:
        The outputs, and the module's state afterwards: with new statistics if `train`, else unchanged.

    Example:
        >>> build, x = lambda _, rngs: nnx.Linear(4, 3, rngs=rngs), jnp.ones((2, 4))
        >>> weights = initialise(build, None, x, jax.random.key(0))
        >>> y, state = outputs(build, None, weights, x, jax.random.key(1), train=False)
        >>> y.shape
        (2, 3)
    """
    # Built in each trace, so that a module may have numbers of the trial in attributes and closures. XLA removes the
    # initial weights, which are not used.
    module = build(trial, nnx.Rngs(key))
    if isinstance(module, nnx.Module):
        nnx.update(module, weights.params, weights.state)
        if not train:
            module.eval()
            return module(x), weights.state
        module.train()
        y = module(x)
        return y, _weights(module).state
    variables = {"params": weights.params, **weights.state}
    options = mode(module, train=train)
    if not train:
        return module.apply(variables, x, rngs=_streams(key), **options), weights.state
    keys = _streams(key)
    y, new = module.apply(variables, x, rngs=keys, mutable=list(weights.state), **options)
    return y, {name: _same_structure(old, new.get(name)) for name, old in weights.state.items()}


def assembled(build: Callable[[Any, nnx.Rngs], Any], trial: Any, weights: Weights) -> Any:
    """The module of a trial with its arrays, ready to be called in evaluation mode.

    Args:
        build: the function given to `initialise`.
        trial: any pytree, passed to `build`; its numbers are not tracers.
        weights: the arrays of the module, from `initialise` or a later step.

    Returns:
        For NNX the module in the mode `eval()`, whose dropout is off and whose BatchNorm uses the running statistics:
        `module(x)`. For Linen a pair of the module and its variables: `module.apply(variables, x)`, with the argument
        that says so (`train=False`, `deterministic=True`) if the module's `__call__` has one.

    Example:
        >>> build, x = lambda _, rngs: nnx.Linear(4, 3, rngs=rngs), jnp.ones((2, 4))
        >>> weights = initialise(build, None, x, jax.random.key(0))
        >>> assembled(build, None, weights)(x).shape
        (2, 3)
    """
    module = build(trial, nnx.Rngs(0))
    if not isinstance(module, nnx.Module):
        return module, {"params": weights.params, **weights.state}
    nnx.update(module, weights.params, weights.state)
    module.eval()
    return module


def arrays_of(model: Any) -> Any:
    """The arrays of a model as nested dicts, as a checkpoint holds them; random keys and counters are left out.

    Args:
        model: what `assembled` returns: an NNX module, or a Linen module with its variables.

    Returns:
        For NNX the state of the module as nested dicts, for Linen its variables.

    Example:
        >>> sorted(arrays_of(nnx.Linear(4, 3, rngs=nnx.Rngs(0))))
        ['bias', 'kernel']
    """
    if not isinstance(model, nnx.Module):
        return model[1]
    return nnx.to_pure_dict(nnx.state(model, lambda _, leaf: not isinstance(leaf, nnx.RngState)))


def _weights(module: nnx.Module) -> Weights:
    """The arrays of an NNX module, without what it has sown, which is not state of the next step.

    Random keys and counters are left out, for `build` gets new ones; and so are the numbers inside callable pytrees,
    such as bound activations, unless they are variables: Flax cannot set them, and `build` makes them anew from the
    trial.
    """
    nnx.pop(module, nnx.Intermediate)

    def made_anew(path: tuple[Any, ...], leaf: Any) -> bool:
        if isinstance(leaf, nnx.Variable):
            return isinstance(leaf, nnx.RngState)
        node: Any = module
        for key in path[:-1]:
            try:
                node = node[key] if isinstance(key, int) or isinstance(node, Mapping) else getattr(node, key)
            except TypeError:  # a pytree whose entries have numbers and cannot be got by them
                return False
            if _is_bound(node):
                return True
        return False

    parts: Any = nnx.split(module, nnx.Param, made_anew, ...)
    return Weights(parts[1], parts[3])


def _is_bound(node: Any) -> bool:
    return callable(node) and not isinstance(node, nnx.Module) and not jax.tree_util.all_leaves([node])


def _streams(key: Array) -> dict[str, Array]:
    """The random keys of a Linen module."""
    return dict(zip(("params", "dropout"), jax.random.split(key), strict=True))


def _same_structure(old: Any, new: Any) -> Any:
    """A collection after a step; one whose structure changes, as that of sown values, stays as it was."""
    return new if str(jax.tree.structure(old)) == str(jax.tree.structure(new)) else old


def mode(module: linen.Module, *, train: bool) -> dict[str, Any]:
    """The argument that tells a Linen module whether this is a training step; empty if it takes none."""
    arguments = inspect.signature(type(module).__call__).parameters
    return {name: train is meaning for name, meaning in _TRAIN_ARGUMENTS.items() if name in arguments}
