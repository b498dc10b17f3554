"""Averages of the parameters over the steps, which often generalize better than the last parameters."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.optimizers._arithmetic import next_count, one_minus_power, real, working
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers._trees import check_params, map_state
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.wrappers._checks import required
from jaxopt_lite.optimizers.wrappers._compress import CompressState, decompressed
from jaxopt_lite.optimizers.wrappers._names import named_leaves


class AverageState(NamedTuple):
    """`count` steps made, the average `mean` of the parameters, and the state of the inner transform."""

    count: Any
    settings: dict[str, Any]
    mean: Any
    inner: Any


class Average(NamedTuple):
    """The rule of `average`."""

    name: str = "average"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> AverageState:
        """The average of the first parameters alone."""
        check_params(self.name, params)
        return AverageState(
            count=jnp.zeros((), jnp.int32),
            settings=copied(self.name, data, fixed),
            mean=jax.tree.map(lambda p: jnp.array(p, dtype=working(p.dtype), copy=True), params),
            inner=parts["tx"].init(params),
        )

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, AverageState]:
        """The inner step; the parameters after it enter the average."""
        if params is None:
            raise ValueError("average averages the parameters and was given none: call update(grads, state, params)")
        s = resolved(state.settings, fixed, state.count)
        updates, inner = parts["tx"](grads, state.inner, params, **extra)
        count = next_count(state.count)
        rate = _rate(s, count)

        def leaf(u: jax.Array, mean: jax.Array, p: jax.Array) -> jax.Array:
            after = p.astype(mean.dtype) + u.astype(mean.dtype)
            return mean + rate.astype(real(mean.dtype)).astype(mean.dtype) * (after - mean)

        mean = map_state(leaf, updates, state.mean, params)
        return updates, AverageState(count=count, settings=state.settings, mean=mean, inner=inner)


def _rate(s: Mapping[str, jax.Array], count: jax.Array) -> jax.Array:
    """How far the average moves towards the newest parameters, so that the first value has no weight in it."""
    t = jnp.maximum(count.astype(s["begin"].dtype) - s["begin"], 1)
    if "decay" not in s:
        return 1 / t
    rest = 1 - s["decay"]
    return rest / one_minus_power(rest, t)


def average(tx: optax.GradientTransformation, decay: Setting | None = None, begin: Setting = 0) -> Transform:
    """Keep an average of the parameters that `tx` trains; `averaged(state, params)` returns it.

    The average is computed in float32 or wider. Before step `begin` it equals the parameters. Put `compress` inside, as
    `average(compress(adam(1e-3)))`: around an average it rounds the average to one byte an entry too.

    Args:
        tx: a transform of this package or of optax.
        decay: how much of the average remains in each step, in [0, 1), or a schedule. `1 - 1/n` averages about the
            last n steps; the first value has no weight in it. `None` (static): the plain mean of all parameters since
            `begin`.
        begin: the number of steps before the average begins, 0 or more.

    Returns:
        A transform with an `AverageState`, which has one float32 copy of the parameters. Its `update` needs the
        parameters.

    Raises:
        TypeError: `tx` is not a transform, or a setting is not a number.
        ValueError: `decay` is outside [0, 1) or `begin` is negative; from `update`, the parameters are missing.

    Example:
        >>> tx = average(sgd(1.0))
        >>> params, state = jnp.zeros(1), tx.init(jnp.zeros(1))
        >>> for _ in range(3):
        ...     updates, state = tx.update(jnp.array([-1.0]), state, params)
        ...     params = params + updates
        >>> float(params[0]), float(averaged(state, params)[0])
        (3.0, 2.0)

    Reference:
        Ruppert 1988; Polyak and Juditsky 1992.
    """
    required("average", begin=begin)
    return build(Average(), {"decay": decay, "begin": begin}, {}, {"tx": tx})


def averaged(state: Any, params: Any) -> Any:
    """The averaged parameters, from the state of an `average`.

    Args:
        state: the state of an `average`, or of a transform with averages inside, as of `partition_by_path` with an
            average in some groups.
        params: the parameters that the state belongs to.

    Returns:
        A tree like `params`, in its dtypes, with the parameter itself where there is no average of it.

    Raises:
        ValueError: the state has no average, or one of other parameters.

    Example:
        >>> params, tx = jnp.ones(2), average(sgd(1.0))
        >>> averaged(tx.init(params), params)
        Array([1., 1.], dtype=float32)
    """
    mean = averaged_if_any(state, params)
    if mean is None:
        raise ValueError("averaged was given a state without an average: wrap the optimizer, average(tx, decay=0.999)")
    return mean


def averaged_if_any(state: Any, params: Any) -> Any:
    """As `averaged`; None if the state has no average."""
    averages = list(_means(state))
    if not averages:
        return None
    treedef = jax.tree.structure(params, is_leaf=lambda x: x is None)
    whole = [dict(named_leaves(mean)) for mean in averages]
    # Groups of a partition have separate averages, each with the names of its parameters.
    means = functools.reduce(lambda all_means, more: more | all_means, whole)
    leaves = named_leaves(params)
    unknown = sorted(means.keys() - dict(leaves).keys())
    if unknown:
        raise ValueError(f"averaged: the state averages {unknown[0] or 'one array'!r}, which the parameters lack")
    return jax.tree.unflatten(treedef, [_mean_or(means.get(name), p) for name, p in leaves])


def _means(state: Any) -> Iterator[Any]:
    """The mean of every average in a state, decoded if it is inside `compress`."""
    is_place = lambda x: isinstance(x, AverageState | CompressState)  # noqa: E731
    for x in jax.tree.leaves(state, is_leaf=is_place):
        if isinstance(x, AverageState):
            yield x.mean
        elif isinstance(x, CompressState):
            yield from _means(decompressed(x))


def _mean_or(mean: Any, p: Any) -> Any:
    return p if mean is None else mean.astype(p.dtype)
