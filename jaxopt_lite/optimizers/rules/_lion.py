"""Lion: the sign of an interpolated momentum."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot

# Half of the digits of float32 for the error of b2, half for the rounding of c, which is 1/b2 times that of mu.
SMALLEST_B2 = 2.0**-12


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    return {"mu": Slot(dtype="mu_dtype")}


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    now = s | {"rest1": 1 - s["b1"], "rest2": 1 - s["b2"], "rate": -s["learning_rate"]}
    if fixed["_from_old"]:
        return now
    # A b2 that was changed in the state to nearly 0: c would be lost in the rounding of mu.
    b2 = jnp.maximum(s["b2"], SMALLEST_B2)
    ratio = s["b1"] / b2
    return now | {"b2": b2, "rest2": 1 - b2, "of_mu": ratio, "of_g": now["rest1"] - ratio * (1 - b2)}


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    mu = s["b2"] * m["mu"] + s["rest2"] * g
    # b1·m + (1 − b1)·g written with the new moment: XLA:CPU then updates the moment in place, where reading the old
    # one for both results would cost a copy of it (half of the step's time).
    c = s["b1"] * m["mu"] + s["rest1"] * g if fixed["_from_old"] else s["of_mu"] * mu + s["of_g"] * g
    direction = jnp.sign(c)
    if p is not None:
        direction = direction + s["weight_decay"] * p
    return s["rate"] * direction, {"mu": mu}


RULE = Elementwise("lion", _slots, _per_step, _per_leaf)


def lion(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.99,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-3,
    mask: Any = None,
) -> Transform:
    """Lion: every entry moves by the same amount, in the direction of an interpolated momentum.

    `c = b1·mu + (1 − b1)·g`, `mu ← b2·mu + (1 − b2)·g`, `p ← p − learning_rate·(sign(c) + weight_decay·p)`.

    Use a learning rate 3 to 10 times smaller than Adam's, and a weight decay as much larger. `b1`, `b2` in [0, 1).
    `mask` as in `adamw`; `mu_dtype` as in `adam`. `update` needs the parameters. With a number `b2` ≥ ½, c is
    calculated from the new `mu`, equal up to rounding, which saves a copy of `mu`: signs differ from the formula only
    where c is within rounding of 0, and a `b2` changed in the state to less than 1/4096 counts as that. Any other `b2`
    (an array, a tracer, a schedule, a smaller number) gets the plain calculation.

    Raises `ValueError` for a Python number out of its range or `params=None`, `TypeError` for something that is no
    number.

    >>> tx = lion(0.1, weight_decay=0.0)
    >>> params = jnp.zeros(2)
    >>> tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0]
    Array([-0.1,  0.1], dtype=float32)

    Source: Chen et al. 2023.
    """
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "weight_decay": weight_decay}
    # An array, a tracer or a schedule may be 0, where the new mu does not contain the old one.
    from_new = isinstance(b2, int | float | np.number) and b2 >= 0.5
    return build(RULE, data, {"mu_dtype": dtype("mu_dtype", mu_dtype), "mask": mask, "_from_old": not from_new})
