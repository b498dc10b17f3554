"""Any optax factory as a transform whose settings are data."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite.optimizers._arithmetic import next_count, real, widened, wider
from jaxopt_lite.optimizers._norms import all_finite
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._structure import PlainFunction, freeze, static_arguments
from jaxopt_lite.optimizers._transform import Init, Parts, Transform, build
from jaxopt_lite.optimizers._trees import check_params, map_gradients

# No factory can trace them as floats, but some fail only when the program is lowered, which the probe does not do.
SEEDS = frozenset({"seed", "key"})


class LiftedState(NamedTuple):
    """Steps done, the settings, and the state of optax's transformation."""

    count: Any
    settings: dict[str, Any]
    inner: Any

    @property
    def foreign(self) -> bool:
        """Whether the settings are those of an optimizer outside of this package."""
        return True


class Lifted(NamedTuple):
    """The rule of a lifted factory: it is called again inside each trace, with the settings that the state holds."""

    factory: Callable[..., Any]

    @property
    def foreign(self) -> bool:
        """Whether it runs code outside of this package."""
        return True

    @property
    def name(self) -> str:
        """The name of the factory."""
        return getattr(self.factory, "__name__", repr(self.factory))

    def written(self, init: Init) -> str:
        """The call that builds it."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in (dict(init.data) | static_arguments(init.fixed)).items())
        return f"lift({self.name})({arguments})"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> LiftedState:
        """The first state of optax's transformation for parameters of at least float32."""
        check_params(self.name, params)
        kept = copied(self.name, data, fixed)
        count = jnp.zeros((), jnp.int32)
        wide = widened(params)
        inner = self._transformation(resolved(kept, fixed, count), fixed, wide).init(wide)
        return LiftedState(count=count, settings=kept, inner=jax.tree.map(_strong, inner))

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, LiftedState]:
        """The step of optax's transformation for gradients and parameters of at least float32."""
        wide = widened(grads)
        tx = self._transformation(resolved(state.settings, fixed, state.count), fixed, wide)
        if params is not None:
            params = map_gradients(lambda g, p: p, grads, params)
        steps, inner = tx.update(wide, state.inner, widened(params), **extra)
        steps, inner = _after_zero_gradients(grads, steps, inner, state.inner)
        likes = (grads,) if params is None else (grads, params)
        steps = map_gradients(lambda u, *xs: u.astype(functools.reduce(wider, [x.dtype for x in xs])), steps, *likes)
        inner = jax.tree.map(lambda new, old: _strong(new, old.dtype), inner, state.inner)
        return steps, LiftedState(count=next_count(state.count), settings=state.settings, inner=inner)

    def _transformation(
        self, numbers: Mapping[str, Any], fixed: Mapping[str, Any], tree: Any
    ) -> optax.GradientTransformationExtraArgs:
        static = {name: value for name, value in fixed.items() if not isinstance(value, PlainFunction)}
        # A float64 setting would widen float32 moments in one branch of a condition and not in the other.
        kinds = [real(x.dtype) for x in jax.tree.leaves(tree)]
        kind = functools.reduce(wider, kinds, jnp.float32)
        tx = self.factory(**static, **{k: v.astype(kind) for k, v in numbers.items()})
        if isinstance(tx, Transform):
            # Its state would have the same settings again, and those of the outer state would have no effect.
            raise TypeError(f"lift: {self.name} returns {tx.name} of this package, whose numbers are data: omit lift")
        return optax.with_extra_args_support(tx)


def lift(factory: Callable[..., Any]) -> Callable[..., Transform]:
    """A factory of optax with its numbers as data: `lift(optax.lamb)(learning_rate=1e-3)`.

    The numbers among the arguments, defaults included, become leaves of the transform and settings of its state if the
    code of the factory accepts traced values, which one abstract call per argument finds out. Other numbers, flags
    and functions are static. Gradients, parameters and moments of half precision are converted to float32.

    Args:
        factory: a function that returns an optax transformation, or a `functools.partial` of one. A factory of this
            package is returned as it is, as its numbers are data.

    Returns:
        A function with the arguments of `factory`. It returns a transform that equals optax's, step for step, with
        one exception: where a gradient of zeros makes a scalar of the state (an estimate of the step size, say) NaN,
        which it would be from then on, the step is skipped.

    Raises:
        TypeError: `factory` is not callable; from the function returned, it does not have such an argument, or the
            learning rate is neither a number nor a schedule; from `init`, it returns a transform of this package.
        ValueError: from the function returned, the learning rate is negative.

    Example:
        >>> tx = lift(optax.lamb)(learning_rate=1e-3, weight_decay=0.1)
        >>> float(settings(tx.init(jnp.ones(3)))["weight_decay"])
        0.10000000149011612
    """
    if not callable(factory):
        raise TypeError(f"lift was given {factory!r}: give the factory itself, lift(optax.lamb), not what it returns")
    if getattr(factory, "__module__", "").split(".")[0] == "jaxopt_lite":
        return factory
    signature = inspect.signature(factory)
    # Partials compare by identity, so that an unpickled one differs. Their keywords are among the defaults already.
    plain = factory.func if isinstance(factory, functools.partial) and not factory.args else factory

    name = getattr(plain, "__name__", "lifted")

    def lifted(*args: Any, **kwargs: Any) -> Transform:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"lift({name}): {error}: its arguments are {', '.join(signature.parameters)}") from error
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        keywords = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
        for keyword in keywords:
            arguments |= arguments.pop(keyword)
        numeric = {name: value for name, value in arguments.items() if name not in SEEDS and _varies(value)}
        rest = {name: value for name, value in arguments.items() if name not in numeric}
        static = _untraceable(plain, numeric, rest)
        data = {name: value for name, value in numeric.items() if name not in static}
        fixed = rest | {name: numeric[name] for name in static}
        return build(Lifted(plain), data, fixed, foreign=True)

    lifted.__name__ = lifted.__qualname__ = name
    lifted.__doc__ = factory.__doc__
    return lifted


def _varies(value: Any) -> bool:
    """Whether an argument of a factory may be data: a number, an array, a schedule of ours, an unknown object."""
    if isinstance(value, bool | str | bytes | type | np.dtype | np.bool_) or value is None:
        return False
    if callable(value):
        return not jax.tree_util.all_leaves([value])
    return not isinstance(value, tuple | list | dict | set | frozenset)


_FOUND: dict[Any, frozenset[str]] = {}


def _untraceable(factory: Callable[..., Any], numeric: dict[str, Any], rest: dict[str, Any]) -> frozenset[str]:
    """The numeric arguments that the factory's code must know as Python numbers: found once by abstract calls."""
    key = (factory, tuple(numeric), tuple((name, freeze(value)) for name, value in rest.items()))
    if key not in _FOUND:
        defaults = {p.name: p.default for p in inspect.signature(factory).parameters.values()}
        plain = {name: _plain(value, defaults.get(name)) for name, value in numeric.items()}
        trials = [(params, extra) for params in TREES for extra in EXTRAS]
        works = next((t for t in trials if _traces(factory, set(), plain, rest, t)), trials[0])
        failing = {name for name in numeric if not _traces(factory, {name}, plain, rest, works)}
        if not failing and not _traces(factory, set(numeric), plain, rest, works):
            failing = set(numeric)
        _FOUND[key] = frozenset(failing)
    return _FOUND[key]


def _plain(value: Any, default: Any) -> Any:
    if isinstance(value, int | float | np.number):
        return value
    return default if isinstance(default, int | float) else 0.1


# What some factory wants: matrices alone, or one, or besides the gradients the loss, by one of these names.
_MATRIX, _VECTOR = jax.ShapeDtypeStruct((4, 4), jnp.float32), jax.ShapeDtypeStruct((4,), jnp.float32)
TREES: tuple[Any, ...] = ({"b": _VECTOR, "w": _MATRIX}, {"w": _MATRIX}, _MATRIX)
EXTRAS: tuple[tuple[str, ...], ...] = ((), ("value",), ("loss",), ("value", "grad", "value_fn"), ("obj_fn",))


def _traces(
    factory: Callable[..., Any], names: set[str], plain: dict[str, Any], rest: dict[str, Any], trial: tuple[Any, Any]
) -> bool:
    """Whether an abstract step of the factory works with these numbers traced."""
    scalar = jax.ShapeDtypeStruct((), jnp.float32)

    def once(numbers: dict[str, Any], params: Any, value: Any) -> Any:
        tx = optax.with_extra_args_support(factory(**rest, **(plain | numbers)))
        known = {"value": value, "loss": value, "grad": params, "value_fn": lambda p: value, "obj_fn": lambda p: value}
        return tx.update(params, tx.init(params), params, **{name: known[name] for name in trial[1]})

    try:
        # The factory is asked about tracers, not about the user's settings for promotion.
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            jax.eval_shape(once, dict.fromkeys(names, scalar), trial[0], scalar)
    except Exception:  # whatever the factory's code answers to a tracer, it means the same: this one cannot be data
        return False
    return True


def _strong(x: Any, dtype: Any = None) -> Any:
    """An array without a weak type, whose dtype cannot change in later steps."""
    x = x if isinstance(x, jax.Array) else jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else jnp.asarray(x, dtype=dtype or x.dtype)


def _after_zero_gradients(grads: Any, steps: Any, new: Any, old: Any) -> tuple[Any, Any]:
    """Skip the step if all gradients are 0 and a scalar of the state becomes non-finite: it would stay so for ever."""
    scalars = [x for x in jax.tree.leaves(new) if jnp.shape(x) == () and jnp.issubdtype(x.dtype, jnp.floating)]
    if not scalars:
        return steps, new
    take = all_finite([steps, scalars]) | ~_all_zero(grads)
    steps = jax.tree.map(lambda u: jnp.where(take, u, jnp.zeros_like(u)), steps)
    return steps, jax.tree.map(lambda a, b: jnp.where(take, a, b), new, old)


def _all_zero(tree: Any) -> jax.Array:
    return functools.reduce(jnp.logical_and, [jnp.all(x == 0) for x in jax.tree.leaves(tree)], jnp.array(True))
