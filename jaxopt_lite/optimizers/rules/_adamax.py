"""AdaMax: Adam under the maximum norm."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._arithmetic import one_minus_power, ratio
from jaxopt_lite.optimizers._ranges import AT_LEAST_0, FRACTION, RATE
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values


def _per_step(s: Values) -> Values:
    rest1 = 1 - s.b1
    return s.replace(rest1=rest1, rate=-s.learning_rate / one_minus_power(rest1, s.t))


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    mu = s.b1 * m.mu + s.rest1 * g
    nu = jnp.maximum(s.b2 * m.nu, jnp.abs(g) + s.eps)
    return ratio(mu * s.rate, nu), {"mu": mu, "nu": nu}


RULE = Rule(
    name="adamax",
    settings={"learning_rate": RATE, "b1": FRACTION, "b2": FRACTION, "eps": AT_LEAST_0},
    moments={"mu": Moment(dtype="mu_dtype"), "nu": Moment(dtype="nu_dtype", signed=False)},
    per_leaf=_per_leaf,
    per_step=_per_step,
)


def adamax(
    learning_rate: Setting,
    b1: Setting = 0.9,
    b2: Setting = 0.999,
    eps: Setting = 1e-8,
    mu_dtype: DTypeLike | None = None,
    nu_dtype: DTypeLike | None = None,
) -> Transform:
    """AdaMax: the mean of the gradient, divided by the largest recent gradient.

    `mu ← b1·mu + (1 − b1)·g`, `nu ← max(b2·nu, |g| + eps)`, `p ← p − learning_rate·(mu/(1 − b1ᵗ))/nu`. No entry's
    step is much larger than `learning_rate`.

    Args:
        learning_rate: the size of the step, ≥ 0: a number, a scalar array, a tracer or a schedule.
        b1: decay of the mean of gradients, in [0, 1). Default: 0.9, an average of about 10 steps. Number or
            schedule.
        b2: decay of the largest gradient, in [0, 1). Default: 0.999, a memory of about 1000 steps. Number or
            schedule.
        eps: added to |g|, ≥ 0, as in optax and PyTorch. Default: 1e-8. Number or schedule.
        mu_dtype: dtype of the mean. Default: float32 for half precision, otherwise the dtype of the parameters.
        nu_dtype: dtype of the largest gradient. Default: float32 for half precision, otherwise the dtype of the
            parameters. bfloat16 is rounded stochastically; float16, whose range is too small, is refused.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state.

    Raises:
        ValueError: if a Python number is out of its range or `nu_dtype` is float16.
        TypeError: if a setting is not a number, or a dtype or the gradients are not floating.

    Example:
        >>> tx = adamax(0.1)
        >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
        -0.1

    Reference:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 7.1.
    """
    return RULE(
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        mu_dtype=mu_dtype,
        nu_dtype=nu_dtype,
    )
