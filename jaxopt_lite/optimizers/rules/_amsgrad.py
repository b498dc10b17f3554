"""AMSGrad: Adam whose second moment never falls."""

from typing import Any

import jax.numpy as jnp

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._arithmetic import one_minus_power, root, square
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    second = Slot(dtype="nu_dtype", modulus=True)
    return {"mu": Slot(dtype="mu_dtype"), "nu": second, "nu_max": second}


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    rest1, rest2 = 1 - s["b1"], 1 - s["b2"]
    rate = s["learning_rate"] / one_minus_power(rest1, t) if fixed["bias_correction_mu"] else s["learning_rate"]
    now = s | {"rest1": rest1, "rest2": rest2, "rate": -rate}
    return now | {"scale2": 1 / one_minus_power(rest2, t)} if fixed["bias_correction_nu"] else now


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    mu = s["b1"] * m["mu"] + s["rest1"] * g
    nu = s["b2"] * m["nu"] + s["rest2"] * square(g)
    highest = jnp.maximum(m["nu_max"], nu * s["scale2"] if fixed["bias_correction_nu"] else nu)
    step = mu * s["rate"] / (root(highest + s["eps_root"]) + s["eps"])
    return step, {"mu": mu, "nu": nu, "nu_max": highest}


RULE = Elementwise("amsgrad", _slots, _per_step, _per_leaf)


def amsgrad(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    nu_dtype: Any = None,
) -> Transform:
    """AMSGrad: Adam divided by the root of the largest second moment so far, so that no entry's step ever grows again.

    `mu`, `nu` as in `adam`; `nu_max ← max(nu_max, nu/(1 − b2ᵗ))`,
    `p ← p − learning_rate·(mu/(1 − b1ᵗ)) / (√(nu_max + eps_root) + eps)`.

    The two corrections can be switched off (torch corrects after taking the maximum: not the same). All else as in
    `adam`.

    Raises `ValueError` for a Python number out of its range, `TypeError` for something that is no number.

    >>> tx = amsgrad(0.1)
    >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
    -0.1

    Source: Reddi, Kale and Kumar 2018.
    """
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    flags = {"bias_correction_mu": bool(bias_correction_mu), "bias_correction_nu": bool(bias_correction_nu)}
    dtypes = {"mu_dtype": dtype("mu_dtype", mu_dtype), "nu_dtype": dtype("nu_dtype", nu_dtype)}
    return build(RULE, data, flags | dtypes)
