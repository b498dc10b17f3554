"""Stochastic gradient descent, with or without momentum."""

from __future__ import annotations

from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._ranges import FRACTION, RATE, flag
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values


def _moments(s: Values) -> dict[str, Moment]:
    return {} if s.momentum is None else {"trace": Moment(dtype="accumulator_dtype")}


def _per_step(s: Values) -> Values:
    return s.replace(rate=-s.learning_rate)


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    if s.momentum is None:
        return s.rate * g, {}
    trace = g + s.momentum * m.trace
    direction = g + s.momentum * trace if s.nesterov else trace
    return s.rate * direction, {"trace": trace}


def looks_ahead(where: str, nesterov: bool, momentum: Setting | None) -> bool:
    """The flag `nesterov`, which needs a momentum.

    Raises:
        ValueError: if it is true without one.
        TypeError: if it is not true or false.
    """
    ahead = flag(where, "nesterov", nesterov)
    if ahead and momentum is None:
        raise ValueError(f"{where}: nesterov=True changes nothing without momentum: give one, as momentum=0.9")
    return ahead


RULE = Rule(
    "sgd", {"learning_rate": RATE, "momentum": FRACTION._replace(optional=True)}, _moments, _per_leaf, _per_step
)


def sgd(
    learning_rate: Setting,
    momentum: Setting | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> Transform:
    """Stochastic gradient descent: against the gradient, or against a decaying sum of gradients.

    Without momentum `p ← p − learning_rate·g`. With it `trace ← g + momentum·trace` and `p ← p − learning_rate·trace`.

    Args:
        learning_rate: the size of the step, ≥ 0: a number, a scalar array, a tracer or a schedule.
        momentum: decay of the sum of gradients, in [0, 1). Default: `None`, which is static and stores no sum.
            Number or schedule.
        nesterov: whether the step is `−learning_rate·(g + momentum·trace)`, the gradient as if one step ahead.
            Default: False. Static; needs `momentum`.
        accumulator_dtype: dtype of the sum. Default: float32 for half precision, otherwise the dtype of the
            parameters.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state.

    Raises:
        ValueError: if a Python number is out of its range, or `nesterov` is true without `momentum`.
        TypeError: if a setting is not a number, or a dtype or the gradients are not floating.

    Example:
        >>> tx = sgd(0.1, momentum=0.9)
        >>> step, state = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
        >>> step
        Array([-0.1, -0.1], dtype=float32)

    Reference:
        Robbins and Monro, 1951; Polyak, 1964 (momentum); Nesterov, 1983, and Sutskever et al., 2013 (nesterov).
    """
    return RULE(
        learning_rate=learning_rate,
        momentum=momentum,
        nesterov=looks_ahead("sgd", nesterov, momentum),
        accumulator_dtype=accumulator_dtype,
    )
