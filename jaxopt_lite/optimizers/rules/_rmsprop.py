"""RMSProp: the gradient divided by the root of its recent mean square."""

from typing import Any

import jax.numpy as jnp

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._arithmetic import inverse_root, not_negative, one_minus_power, root, square
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    slots = {"nu": Slot(start="initial_scale", dtype="nu_dtype", modulus=True)}
    if fixed["centered"]:
        slots["mu"] = Slot(dtype="mu_dtype")
    if "momentum" not in fixed or fixed["momentum"] is not None:
        slots["trace"] = Slot(dtype="mu_dtype")
    return slots


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    now = s | {"rest": 1 - s["decay"], "rate": -s["learning_rate"]}
    return now | {"scale": 1 / one_minus_power(now["rest"], t)} if fixed["bias_correction"] else now


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    new = {"nu": s["decay"] * m["nu"] + s["rest"] * square(g)}
    spread = new["nu"] * s["scale"] if fixed["bias_correction"] else new["nu"]
    if fixed["centered"]:
        new["mu"] = s["decay"] * m["mu"] + s["rest"] * g
        mean = new["mu"] * s["scale"] if fixed["bias_correction"] else new["mu"]
        # A variance that rounding made negative would make the root NaN; so would ∞ − ∞ where the squares overflow.
        spread = jnp.where(jnp.isinf(spread), spread, not_negative(spread - square(mean)))
    scale = inverse_root(spread + s["eps"]) if fixed["eps_in_sqrt"] else 1 / (root(spread) + s["eps"])
    step = s["rate"] * g * scale
    if "trace" not in m:
        return step, new
    trace = step + s["momentum"] * m["trace"]
    return (step + s["momentum"] * trace if fixed["nesterov"] else trace), new | {"trace": trace}


RULE = Elementwise("rmsprop", _slots, _per_step, _per_leaf)


def rmsprop(
    learning_rate: Any,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Any = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
) -> Transform:
    """RMSProp: the gradient divided by the root of a decaying mean of its square.

    `nu ← decay·nu + (1 − decay)·g²`, `p ← p − learning_rate·g / √(nu + eps)`. With `centered` the mean is taken off:
    `nu − mu²` with `mu ← decay·mu + (1 − decay)·g`. Without `eps_in_sqrt` (as torch does) the divisor is `√nu + eps`.
    With `momentum` the steps are summed: `trace ← step + momentum·trace`. With `bias_correction` `nu` and `mu` are
    divided by `1 − decayᵗ`.

    `decay` in [0, 1): 0.9 averages some ten steps. `nu` starts at `initial_scale`. `mu_dtype` (mean and trace) and
    `nu_dtype` are by default float32 for half precision and the parameters' own otherwise. Numbers may be arrays,
    tracers or schedules.

    Raises `ValueError` for a Python number out of its range, `TypeError` for something that is no number.

    >>> tx = rmsprop(0.1, decay=0.0)
    >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
    -0.1

    Source: Tieleman and Hinton 2012; Graves 2013 (centred).
    """
    data = {
        "learning_rate": learning_rate,
        "decay": decay,
        "eps": eps,
        "initial_scale": initial_scale,
        "momentum": momentum,
    }
    flags = {"eps_in_sqrt": eps_in_sqrt, "centered": centered, "nesterov": nesterov, "bias_correction": bias_correction}
    dtypes = {"mu_dtype": dtype("mu_dtype", mu_dtype), "nu_dtype": dtype("nu_dtype", nu_dtype)}
    return build(RULE, data, {name: bool(flag) for name, flag in flags.items()} | dtypes)
