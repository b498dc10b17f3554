"""AdaMax: Adam under the maximum norm."""

from typing import Any

import jax.numpy as jnp

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._arithmetic import one_minus_power, ratio
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    return {"mu": Slot(dtype="mu_dtype"), "nu": Slot(dtype="nu_dtype", modulus=True)}


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    rest1 = 1 - s["b1"]
    return s | {"rest1": rest1, "rate": -s["learning_rate"] / one_minus_power(rest1, t)}


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    mu = s["b1"] * m["mu"] + s["rest1"] * g
    nu = jnp.maximum(s["b2"] * m["nu"], jnp.abs(g) + s["eps"])
    return ratio(mu * s["rate"], nu), {"mu": mu, "nu": nu}


RULE = Elementwise("adamax", _slots, _per_step, _per_leaf)


def adamax(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
) -> Transform:
    """AdaMax: the mean of the gradient, divided by the largest recent gradient.

    `mu ← b1·mu + (1 − b1)·g`, `nu ← max(b2·nu, |g| + eps)`, `p ← p − learning_rate·(mu/(1 − b1ᵗ))/nu`.

    No step of an entry exceeds some `learning_rate`. Settings as in `adam`; `eps` is added to |g| as in torch and
    optax.

    Raises `ValueError` for a Python number out of its range, `TypeError` for something that is no number.

    >>> tx = adamax(0.1)
    >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
    -0.1

    Source: Kingma and Ba 2015, section 7.1.
    """
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps}
    return build(RULE, data, {"mu_dtype": dtype("mu_dtype", mu_dtype), "nu_dtype": dtype("nu_dtype", nu_dtype)})
