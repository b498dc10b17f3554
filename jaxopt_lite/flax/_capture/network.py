"""A Flax model, NNX or Linen, as a function of arrays in which the outputs of all layers are marked."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import linen, nnx
from flax.core import meta, unfreeze

from jaxopt_lite.flax._capture.layers import Path, innermost, marked, name_of
from jaxopt_lite.flax._functional import mode

_NNX_NORMS = (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm)
_LINEN_NORMS = (linen.BatchNorm, linen.LayerNorm, linen.RMSNorm, linen.GroupNorm)
Call = Callable[[Any, Any], Any]


class Network(NamedTuple):
    """A model as a function of arrays.

    Attributes:
        apply: the function of (arrays, random, x) that gives the model's outputs.
        arrays: parameters and statistics of the model.
        random: its random keys and counters.
        layers: the class of each layer by the layer's path, as `{"blocks.0.query": "LinearGeneral"}`;
            of a Linen module it is known once `apply` has been called.
        api: "nnx" or "linen".
        parameters: the function of a tree such as `arrays` that gives the parameters in it as nested dicts.

    Example:
        >>> network(nnx.Linear(4, 3, rngs=nnx.Rngs(0))).layers
        {'(model)': 'Linear'}
    """

    apply: Callable[[Any, Any, Any], Any]
    arrays: Any
    random: Any
    layers: dict[str, str]
    api: str
    parameters: Callable[[Any], dict[Any, Any]]


def network(model: Any, *, train: bool = True, call: Call | None = None) -> Network:
    """A model as a function of arrays, for `observe`. The model itself is not changed.

    Args:
        model: an `nnx.Module`; or for Linen a pair of a module and its variables, or a bound module.
        train: whether dropout and batch normalisation work as in training. Default True.
        call: function of (module, x) that returns the outputs. Default None: `module(x)`, with `train`, `training`,
            `is_training` or `deterministic` for a Linen module whose `__call__` has such an argument.

    Returns:
        The function, its arrays, and the names of the layers: the innermost modules that own parameters, and all
        normalisations.

    Raises:
        TypeError: `model` is not a Flax module, or a Linen module without its variables.

    Example:
        >>> module, x = linen.PReLU(), jnp.ones((2, 3))
        >>> network((module, module.init(jax.random.key(0), x))).api
        'linen'
    """
    if isinstance(model, nnx.Module):
        return _nnx(model, train, call)
    if isinstance(model, linen.Module) and model.scope is not None:
        model = model.unbind()
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], linen.Module):
        return _linen(*model, train, call)
    raise TypeError(
        f"the model is of type {type(model).__name__}; give an nnx.Module, or for Linen the pair (module, variables) "
        "with variables = module.init(key, x)"
    )


def _nnx(model: nnx.Module, train: bool, call: Call | None) -> Network:
    modules = {path: m for path, m in _modules(model).items() if callable(m)}
    owners = [_owner(path, modules) for path in nnx.to_flat_state(nnx.state(model, nnx.Param)).paths]
    norms = [path for path, m in modules.items() if isinstance(m, _NNX_NORMS)]
    whole = {path for path in owners if path is not None and _is_of_flax(modules[path])}
    paths = innermost([path for path in modules if path in {*owners, *norms}], whole)
    parts: Any = nnx.split(model, nnx.RngState, nnx.Variable, ...)
    graphdef, random, arrays, others = parts  # the others are no variables: functions in lists, arrays of a `bind`

    def apply(arrays: Any, random: Any, x: Any) -> Any:
        module = nnx.merge(graphdef, random, arrays, others, copy=True)
        module.train() if train else module.eval()
        copies = _modules(module)
        for path in paths:
            layer: Any = copies[path]
            layer.observed_as = name_of(path)
            object.__setattr__(layer, "__class__", _marking(type(layer)))  # type: ignore[arg-type]
        return call(module, x) if call else module(x)

    layers = {name_of(path): type(modules[path]).__name__ for path in paths}
    return Network(apply, arrays, random, layers, "nnx", _params)


def _params(arrays: nnx.State) -> dict[Any, Any]:
    return nnx.to_pure_dict(nnx.filter_state(arrays, nnx.Param))


def _modules(model: nnx.Module) -> dict[Path, Any]:
    """All modules by their paths; a method of modules before Flax 0.12."""
    return dict(nnx.iter_modules(model) if hasattr(nnx, "iter_modules") else model.iter_modules())


def _owner(path: Path, modules: dict[Path, Any]) -> Path | None:
    """The innermost module with a `__call__` that holds the parameter at `path`."""
    return next((path[:i] for i in reversed(range(len(path))) if path[:i] in modules), None)


def _is_of_flax(module: nnx.Module) -> bool:
    return any(c.__module__.startswith("flax.nnx.nn.") for c in type(module).__mro__)


@functools.cache
def _marking(layer: type) -> type:
    """A subclass of a layer whose output is marked with the layer's `observed_as`."""

    def __call__(self: Any, *args: Any, **options: Any) -> Any:
        return marked(layer.__call__(self, *args, **options), self.observed_as)

    body = {"__call__": __call__, "__module__": layer.__module__, "__qualname__": layer.__qualname__}
    return type(layer)(layer.__name__, (layer,), body)


def _linen(module: linen.Module, variables: Any, train: bool, call: Call | None) -> Network:
    variables = meta.unbox(variables)  # of what `linen.with_partitioning` wraps arrays in
    leaves = jax.tree_util.tree_flatten_with_path(variables.get("params", {}))[0]
    owners = [tuple(key.key for key in path[:-1]) for path, _ in leaves]
    names = {path: name_of(path) for path in innermost(owners, set())}
    layers = dict.fromkeys(names.values(), "")
    options = {} if call else mode(module, train=train)

    def apply(variables: Any, random: jax.Array, x: Any) -> Any:
        def intercept(method: Any, args: Any, options: Any, context: Any) -> Any:
            output, path = method(*args, **options), tuple(context.module.path)
            if context.method_name != "__call__" or not (path in names or isinstance(context.module, _LINEN_NORMS)):
                return output
            layers[name_of(path)] = layers.get(name_of(path)) or type(context.module).__name__
            return marked(output, name_of(path))

        keys = dict(zip(("params", "dropout"), jax.random.split(random), strict=True))
        mutable = [name for name in variables if name != "params"]
        with linen.intercept_methods(intercept):
            return module.apply(variables, x, rngs=keys, mutable=mutable, method=call, **options)[0]

    parameters = lambda variables: unfreeze(variables.get("params", {}))  # noqa: E731
    return Network(apply, variables, jax.random.key(0), layers, "linen", parameters)
