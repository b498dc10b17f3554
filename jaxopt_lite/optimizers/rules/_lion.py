"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._ranges import AT_LEAST_0, FRACTION, RATE, flag
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values

# Half of the digits of float32 for the error of b2, half for the rounding of c, which is 1/b2 times that of mu.
SMALLEST_B2 = 2.0**-12


def _per_step(s: Values) -> Values:
    now = s.replace(rest1=1 - s.b1, rest2=1 - s.b2, rate=-s.learning_rate)
    if not s._from_new:
        return now
    # A b2 that was changed in the state to nearly 0: c would be lost in the rounding of mu.
    b2 = jnp.maximum(s.b2, SMALLEST_B2)
    ratio = s.b1 / b2
    return now.replace(b2=b2, rest2=1 - b2, of_mu=ratio, of_g=now.rest1 - ratio * (1 - b2))


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    mu = s.b2 * m.mu + s.rest2 * g
    # b1·m + (1 − b1)·g written with the new moment: XLA:CPU then updates the moment in place, where reading the old
    # one for both results would cost a copy of it (half of the step's time).
    c = s.of_mu * mu + s.of_g * g if s._from_new else s.b1 * m.mu + s.rest1 * g
    direction = jnp.sign(c)
    if s.weight_decay is not None:
        direction = direction + s.weight_decay * p
    return s.rate * direction, {"mu": mu}


RULE = Rule(
    name="lion",
    settings={"learning_rate": RATE, "b1": FRACTION, "b2": FRACTION, "weight_decay": AT_LEAST_0},
    moments={"mu": Moment(dtype="mu_dtype")},
    per_leaf=_per_leaf,
    per_step=_per_step,
)


def lion(
    learning_rate: Setting,
    b1: Setting = 0.9,
    b2: Setting = 0.99,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Setting = 1e-3,
    mask: object = None,
) -> Transform:
    """Lion: every entry moves by the same amount, in the direction of an interpolated momentum.

    `c = b1·mu + (1 − b1)·g`, `mu ← b2·mu + (1 − b2)·g`, `p ← p − learning_rate·(sign(c) + weight_decay·p)`.

    With a Python number `b2` ≥ ½, c is calculated from the new `mu`, which saves a copy of `mu`: signs differ from the
    formula only where c is within rounding of 0, and a `b2` changed in the state to less than 1/4096 counts as 1/4096.

    Args:
        learning_rate: the size of the step, ≥ 0; 3 to 10 times smaller than Adam's. Number or schedule.
        b1: weight of the momentum in the direction, in [0, 1). Default: 0.9. Number or schedule.
        b2: decay of the momentum, in [0, 1). Default: 0.99, an average of about 100 steps. Number or schedule.
        mu_dtype: dtype of the momentum. Default: float32 for half precision, otherwise the dtype of the parameters.
        weight_decay: decoupled decay, ≥ 0: `learning_rate·weight_decay·p` is subtracted as well; 3 to 10 times
            larger than for AdamW. Default: 1e-3. Number or schedule.
        mask: which parameters decay: a tree of booleans, a prefix of one, or a function from the parameters to it.
            Usually biases and norms do not. Default: all. Static.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state. It needs `params`.

    Raises:
        ValueError: if a Python number is out of its range, or if `update` is not given the parameters.
        TypeError: if a setting is not a number, a leaf of the mask is not a boolean, or the gradients are not
            floating.

    Example:
        >>> tx = lion(0.1, weight_decay=0.0)
        >>> params = jnp.zeros(2)
        >>> tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0]
        Array([-0.1,  0.1], dtype=float32)

    Reference:
        Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023.
    """
    # An array, a tracer or a schedule may be 0, where the new mu does not contain the old one.
    from_new = isinstance(b2, int | float | np.number) and b2 >= 0.5
    return RULE(
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        weight_decay=weight_decay,
        mu_dtype=mu_dtype,
        mask=mask,
        _from_new=flag("lion", "from_new", from_new),
    )
