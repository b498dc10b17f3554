"""AMSGrad: Adam whose second moment never falls."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._arithmetic import one_minus_power, root, square
from jaxopt_lite.optimizers._ranges import AT_LEAST_0, FRACTION, RATE, flag
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values

_SQUARES = Moment(dtype="nu_dtype", signed=False)


def _per_step(s: Values) -> Values:
    rest1, rest2 = 1 - s.b1, 1 - s.b2
    rate = s.learning_rate / one_minus_power(rest1, s.t) if s.bias_correction_mu else s.learning_rate
    scale2 = 1 / one_minus_power(rest2, s.t) if s.bias_correction_nu else None
    return s.replace(rest1=rest1, rest2=rest2, rate=-rate, scale2=scale2)


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    mu = s.b1 * m.mu + s.rest1 * g
    nu = s.b2 * m.nu + s.rest2 * square(g)
    highest = jnp.maximum(m.nu_max, nu * s.scale2 if s.bias_correction_nu else nu)
    step = mu * s.rate / (root(highest + s.eps_root) + s.eps)
    return step, {"mu": mu, "nu": nu, "nu_max": highest}


RULE = Rule(
    name="amsgrad",
    settings={"learning_rate": RATE, "b1": FRACTION, "b2": FRACTION, "eps": AT_LEAST_0, "eps_root": AT_LEAST_0},
    moments={"mu": Moment(dtype="mu_dtype"), "nu": _SQUARES, "nu_max": _SQUARES},
    per_leaf=_per_leaf,
    per_step=_per_step,
)


def amsgrad(
    learning_rate: Setting,
    b1: Setting = 0.9,
    b2: Setting = 0.999,
    eps: Setting = 1e-8,
    eps_root: Setting = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    nu_dtype: DTypeLike | None = None,
) -> Transform:
    """AMSGrad: Adam divided by the root of the largest second moment so far, so that no entry's step grows again.

    `mu ← b1·mu + (1 − b1)·g`, `nu ← b2·nu + (1 − b2)·g²`, `nu_max ← max(nu_max, nu/(1 − b2ᵗ))`,
    `p ← p − learning_rate·(mu/(1 − b1ᵗ)) / (√(nu_max + eps_root) + eps)`. PyTorch corrects after the maximum instead.

    Args:
        learning_rate: the size of the step, ≥ 0: a number, a scalar array, a tracer or a schedule.
        b1: decay of the mean of gradients, in [0, 1). Default: 0.9, an average of about 10 steps. Number or
            schedule.
        b2: decay of the mean of squared gradients, in [0, 1). Default: 0.999, about 1000 steps. Number or schedule.
        eps: added to the root in the denominator, ≥ 0; it bounds the step where gradients vanish. Default: 1e-8.
            Number or schedule.
        eps_root: added inside the root, ≥ 0; needed only to differentiate through the optimizer with respect to
            gradients. Default: 0. Number or schedule.
        mu_dtype: dtype of the mean. Default: float32 for half precision, otherwise the dtype of the parameters.
        bias_correction_mu: whether the mean is divided by `1 − b1ᵗ`. Default: True. Static.
        bias_correction_nu: whether the mean of squares is divided by `1 − b2ᵗ` before the maximum. Default: True.
            Static.
        nu_dtype: dtype of `nu` and `nu_max`. Default: float32 for half precision, otherwise the dtype of the
            parameters. bfloat16 is rounded stochastically; float16, whose range is too small, is refused.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state.

    Raises:
        ValueError: if a Python number is out of its range or `nu_dtype` is float16.
        TypeError: if a setting is not a number, or a dtype or the gradients are not floating.

    Example:
        >>> tx = amsgrad(0.1)
        >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
        -0.1

    Reference:
        Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", 2018.
    """
    return RULE(
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        mu_dtype=mu_dtype,
        bias_correction_mu=flag("amsgrad", "bias_correction_mu", bias_correction_mu),
        bias_correction_nu=flag("amsgrad", "bias_correction_nu", bias_correction_nu),
        nu_dtype=nu_dtype,
    )
