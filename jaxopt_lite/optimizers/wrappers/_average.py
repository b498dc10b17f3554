"""The average of the parameters along the way: often better than where they are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import next_count, one_minus_power, working
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers._trees import check_params


class AverageState(NamedTuple):
    """The average so far; `count` steps were made."""

    count: Any
    settings: dict[str, Any]
    mean: Any
    inner: Any


class Average(NamedTuple):
    """The rule of `average`."""

    name: str = "average"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> AverageState:
        """The average is where the parameters begin."""
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
        """The inner step, and the parameters after it taken into the average."""
        if params is None:
            raise ValueError("average averages the parameters and was given none: call update(grads, state, params)")
        s = resolved(state.settings, fixed, state.count)
        updates, inner = parts["tx"](grads, state.inner, params, **extra)
        count = next_count(state.count)
        rate = _rate(s, count)

        def leaf(mean: jax.Array, p: jax.Array, u: jax.Array) -> jax.Array:
            after = p.astype(mean.dtype) + u.astype(mean.dtype)
            return mean + rate.astype(jnp.real(mean).dtype) * (after - mean)

        mean = jax.tree.map(leaf, state.mean, params, updates)
        return updates, AverageState(count=count, settings=state.settings, mean=mean, inner=inner)


def _rate(s: Mapping[str, jax.Array], count: jax.Array) -> jax.Array:
    """How far the average moves towards the newest parameters, such that no start value remains in it."""
    t = jnp.maximum(count - s["begin"], 1.0)
    if "decay" not in s:
        return 1 / t
    rest = 1 - s["decay"]
    return rest / one_minus_power(rest, t)


def average(tx: Any, decay: Any = None, begin: Any = 0) -> Transform:
    """Keep the average of the parameters while `tx` trains them; `averaged(state, params)` gives it.

    With `decay` in [0, 1) an exponential average, without the start value in it: over n steps, `decay = 1 − 1/n`.
    Without one (`None`, structure) the plain mean of all parameters since step `begin` (Polyak and Ruppert). Before
    that it is where the parameters are. Kept in float32 at least. `update` needs the parameters.

    >>> tx = average(sgd(1.0))
    >>> params, state = jnp.zeros(1), tx.init(jnp.zeros(1))
    >>> for _ in range(3):
    ...     updates, state = tx.update(jnp.array([-1.0]), state, params)
    ...     params = params + updates
    >>> float(params[0]), float(averaged(state, params)[0])
    (3.0, 2.0)

    Source: Polyak and Juditsky 1992; Ruppert 1988.
    """
    return build(Average(), {"decay": decay, "begin": begin}, {}, {"tx": tx})


def averaged(state: Any, params: Any) -> Any:
    """The averaged parameters inside the state of an `average`, in the dtypes and the tree of `params`.

    Raises `ValueError` for a state without an average.
    """
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, AverageState))
    found = [x for x in leaves if isinstance(x, AverageState)]
    if not found:
        raise ValueError("averaged was given a state without an average: wrap the optimizer, average(tx, decay=0.999)")
    return jax.tree.map(lambda p, mean: mean.astype(p.dtype), params, found[0].mean)
