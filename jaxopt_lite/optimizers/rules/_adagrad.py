"""AdaGrad: each entry's step shrinks with the gradients it has seen."""

from __future__ import annotations

from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._arithmetic import inverse_root, square
from jaxopt_lite.optimizers._ranges import AT_LEAST_0, RATE
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values


def _per_step(s: Values) -> Values:
    return s.replace(rate=-s.learning_rate)


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    total = m.sum_of_squares + square(g)
    return s.rate * g * inverse_root(total + s.eps), {"sum_of_squares": total}


RULE = Rule(
    name="adagrad",
    settings={"learning_rate": RATE, "initial_accumulator_value": AT_LEAST_0, "eps": AT_LEAST_0},
    moments={"sum_of_squares": Moment(start="initial_accumulator_value", dtype="nu_dtype", signed=False)},
    per_leaf=_per_leaf,
    per_step=_per_step,
)


def adagrad(
    learning_rate: Setting,
    initial_accumulator_value: Setting = 0.1,
    eps: Setting = 1e-7,
    nu_dtype: DTypeLike | None = None,
) -> Transform:
    """AdaGrad: the step of each entry is divided by the root of the sum of its squared gradients.

    `sum_of_squares ← sum_of_squares + g²`, `p ← p − learning_rate·g / √(sum_of_squares + eps)`.

    Args:
        learning_rate: the size of the step, ≥ 0: a number, a scalar array, a tracer or a schedule.
        initial_accumulator_value: what the sum starts at, ≥ 0; above 0 the first steps are smaller. Default: 0.1.
            Number or schedule, of which `init` reads the value at 0.
        eps: added to the sum under the root, ≥ 0. Default: 1e-7. Number or schedule.
        nu_dtype: dtype of the sum. Default: float32 for half precision, otherwise the dtype of the parameters.
            bfloat16 is rounded stochastically; float16, whose range is too small, is refused.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state.

    Raises:
        ValueError: if a Python number is out of its range or `nu_dtype` is float16.
        TypeError: if a setting is not a number, or a dtype or the gradients are not floating.

    Example:
        >>> tx = adagrad(0.1, initial_accumulator_value=0.0)
        >>> round(float(tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))[0]), 4)
        -0.1

    Reference:
        Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
            2011.
    """
    return RULE(
        learning_rate=learning_rate,
        initial_accumulator_value=initial_accumulator_value,
        eps=eps,
        nu_dtype=nu_dtype,
    )
