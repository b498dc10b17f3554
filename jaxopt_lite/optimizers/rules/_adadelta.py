"""AdaDelta: steps in the units of the parameters."""

from typing import Any

import jax.numpy as jnp

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._arithmetic import ratio, root, square
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    return {"e_g": Slot(dtype="nu_dtype", modulus=True), "e_x": Slot(dtype="nu_dtype", modulus=True)}


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    return s | {"rest": 1 - s["rho"], "rate": -s["learning_rate"]}


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    if "weight_decay" in s and p is not None:
        g = g + s["weight_decay"] * p
    now = s["rest"] * square(g)
    e_g = s["rho"] * m["e_g"] + now
    # The ratio first: where the square overflows it is 0, and 0 times a finite gradient is 0, times ∞ NaN.
    size = jnp.abs(g) if jnp.iscomplexobj(g) else g
    e_x = s["rho"] * m["e_x"] + s["rest"] * size * (size * ratio(m["e_x"] + s["eps"], e_g + s["eps"]))
    # g·√(old e_x + eps)/√(e_g + eps), with the old e_x expressed by the new one: XLA:CPU then updates it in place;
    # reading the old one for both results would cost a copy of it.
    quotient = ratio(e_x + s["rho"] * s["eps"], s["rho"] * (e_g + s["eps"]) + now)
    return s["rate"] * (g * root(quotient)), {"e_g": e_g, "e_x": e_x}


RULE = Elementwise("adadelta", _slots, _per_step, _per_leaf)


def adadelta(
    learning_rate: Any = 1.0,
    rho: Any = 0.9,
    eps: Any = 1e-6,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = None,
    nu_dtype: Any = None,
) -> Transform:
    """AdaDelta: the gradient times the ratio of the typical step to the typical gradient.

    `g ← g + weight_decay·p`, `e_g ← rho·e_g + (1 − rho)·g²`, `x = g·√(e_x + eps)/√(e_g + eps)`,
    `e_x ← rho·e_x + (1 − rho)·x²`, `p ← p − learning_rate·x`.

    The steps have the units of the parameters, so `learning_rate` is 1 as published (optax leaves its default at
    `None`, which it cannot run with). `rho` in [0, 1); `eps` > 0 sets the size of the very first steps.
    `weight_decay` ≥ 0 is an L2 penalty, of the parameters that `weight_decay_mask` selects (a tree of booleans, or a
    function to one); `update` then needs the parameters, and a temporary copy of the gradient. The number 0 leaves it
    out and is structure. `nu_dtype` is by default float32 for half precision and the parameters' own otherwise.

    Raises `ValueError` for a Python number out of its range or `params=None` with decay, `TypeError` for something
    that is no number.

    >>> tx = adadelta()
    >>> params = jnp.zeros(1)
    >>> round(float(tx.update(jnp.array([5.0]), tx.init(params), params)[0][0]), 5)
    -0.00316

    Source: Zeiler 2012.
    """
    data = {"learning_rate": learning_rate, "rho": rho, "eps": eps, "weight_decay": weight_decay}
    if isinstance(weight_decay, int | float) and weight_decay == 0:
        del data["weight_decay"]
    return build(RULE, data, {"weight_decay_mask": weight_decay_mask, "nu_dtype": dtype("nu_dtype", nu_dtype)})
