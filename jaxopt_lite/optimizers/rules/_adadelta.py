"""AdaDelta: steps in the units of the parameters."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._arithmetic import ratio, root, square
from jaxopt_lite.optimizers._ranges import AT_LEAST_0, FRACTION, RATE
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values

_MOMENT = Moment(dtype="nu_dtype", signed=False)


def _per_step(s: Values) -> Values:
    return s.replace(rest=1 - s.rho, rate=-s.learning_rate)


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    if s.weight_decay is not None:
        g = g + s.weight_decay * p
    now = s.rest * square(g)
    e_g = s.rho * m.e_g + now
    # The ratio first: where the square overflows it is 0, and 0 times a finite gradient is 0, times ∞ NaN.
    size = jnp.abs(g) if jnp.iscomplexobj(g) else g
    e_x = s.rho * m.e_x + s.rest * size * (size * ratio(m.e_x + s.eps, e_g + s.eps))
    # g·√(old e_x + eps)/√(e_g + eps), with the old e_x expressed by the new one: XLA:CPU then updates it in place;
    # reading the old one for both results would cost a copy of it.
    quotient = ratio(e_x + s.rho * s.eps, s.rho * (e_g + s.eps) + now)
    return s.rate * (g * root(quotient)), {"e_g": e_g, "e_x": e_x}


RULE = Rule(
    name="adadelta",
    settings={"learning_rate": RATE, "rho": FRACTION, "eps": AT_LEAST_0, "weight_decay": AT_LEAST_0},
    moments={"e_g": _MOMENT, "e_x": _MOMENT},
    per_leaf=_per_leaf,
    per_step=_per_step,
    mask="weight_decay_mask",
)


def adadelta(
    learning_rate: Setting = 1.0,
    rho: Setting = 0.9,
    eps: Setting = 1e-6,
    weight_decay: Setting = 0.0,
    weight_decay_mask: object = None,
    nu_dtype: DTypeLike | None = None,
) -> Transform:
    """AdaDelta: the gradient times the ratio of the typical step to the typical gradient.

    `e_g ← rho·e_g + (1 − rho)·g²`, `x = g·√(e_x + eps)/√(e_g + eps)`, `e_x ← rho·e_x + (1 − rho)·x²`,
    `p ← p − learning_rate·x`.

    Args:
        learning_rate: a factor of the step, ≥ 0. Default: 1, as published, because steps have the units of the
            parameters; with optax's default of `None` the step is neither scaled nor negated. Number or schedule.
        rho: decay of both means of squares, in [0, 1). Default: 0.9, an average of about 10 steps. Number or
            schedule.
        eps: added under both roots, > 0: it sets the size of the very first steps. Default: 1e-6. Number or
            schedule.
        weight_decay: L2 penalty, ≥ 0: `weight_decay·p` is added to the gradient. Default: the number 0, which is
            static and leaves the term out. Number or schedule.
        weight_decay_mask: which parameters have the penalty: a tree of booleans, a prefix of one, or a function
            from the parameters to it. Default: all. Static.
        nu_dtype: dtype of both means. Default: float32 for half precision, otherwise the dtype of the parameters.
            bfloat16 is rounded stochastically; float16, whose range is too small, is refused.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state. With a weight decay it needs `params`.

    Raises:
        ValueError: if a Python number is out of its range, `nu_dtype` is float16, or `update` is not given the
            parameters.
        TypeError: if a setting is not a number, a leaf of the mask is not a boolean, or the gradients are not
            floating.

    Example:
        >>> tx = adadelta()
        >>> params = jnp.zeros(1)
        >>> round(float(tx.update(jnp.array([5.0]), tx.init(params), params)[0][0]), 5)
        -0.00316

    Reference:
        Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    """
    decays = not isinstance(weight_decay, int | float) or weight_decay != 0
    return RULE(
        learning_rate=learning_rate,
        rho=rho,
        eps=eps,
        **({"weight_decay": weight_decay} if decays else {}),
        weight_decay_mask=weight_decay_mask,
        nu_dtype=nu_dtype,
    )
