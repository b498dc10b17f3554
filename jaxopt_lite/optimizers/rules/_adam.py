"""Adam and its decoupled weight decay."""

from typing import Any

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._arithmetic import one_minus_power, root, square
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    return {"mu": Slot(dtype="mu_dtype"), "nu": Slot(dtype="nu_dtype", modulus=True)}


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    rest1, rest2, rate = 1 - s["b1"], 1 - s["b2"], -s["learning_rate"]
    now = s | {"rest1": rest1, "rest2": rest2, "scale2": 1 / one_minus_power(rest2, t)}
    if "weight_decay" in s:
        now["shrink"] = rate * s["weight_decay"]
    first = rate / one_minus_power(rest1, t)
    if not fixed["nesterov"]:
        return now | {"rate": first}
    return now | {"rate": rate * s["b1"] / one_minus_power(rest1, t + 1), "rate_g": rest1 * first}


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    mu = s["b1"] * m["mu"] + s["rest1"] * g
    nu = s["b2"] * m["nu"] + s["rest2"] * square(g)
    top = s["rate"] * mu + s["rate_g"] * g if fixed["nesterov"] else s["rate"] * mu
    step = top / (root(nu * s["scale2"] + s["eps_root"]) + s["eps"])
    if "shrink" in s and p is not None:
        step = step + s["shrink"] * p
    return step, {"mu": mu, "nu": nu}


ADAM = Elementwise("adam", _slots, _per_step, _per_leaf)
ADAMW = Elementwise("adamw", _slots, _per_step, _per_leaf)


def adam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> Transform:
    """Adam: a decaying mean of the gradient, divided by the root of a decaying mean of its square.

    `mu ← b1·mu + (1 − b1)·g`, `nu ← b2·nu + (1 − b2)·g²`,
    `p ← p − learning_rate·(mu/(1 − b1ᵗ)) / (√(nu/(1 − b2ᵗ) + eps_root) + eps)`, t counting steps from 1.
    With `nesterov` the mean is one step ahead: `b1·mu/(1 − b1ᵗ⁺¹) + (1 − b1)·g/(1 − b1ᵗ)`.

    `b1`, `b2` in [0, 1): 0.9 and 0.999 average some 10 and 1000 steps. `eps` ≥ 0 bounds the step where gradients
    vanish; `eps_root` > 0 only helps those who differentiate through the optimizer with respect to gradients.
    `mu_dtype` and `nu_dtype` are by default float32 for half precision and the parameters' own otherwise. Numbers may
    be arrays, tracers, schedules.

    Raises `ValueError` for a Python number out of its range, `TypeError` for something that is no number.

    >>> tx = adam(0.1)
    >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
    -0.1

    Source: Kingma and Ba 2015; Dozat 2016 (nesterov).
    """
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    dtypes = {"mu_dtype": dtype("mu_dtype", mu_dtype), "nu_dtype": dtype("nu_dtype", nu_dtype)}
    return build(ADAM, data, dtypes | {"nesterov": bool(nesterov)})


def adamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    nu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> Transform:
    """Adam with decoupled weight decay: the parameters also shrink by a fixed share, whatever the gradients.

    As `adam`, and `learning_rate·weight_decay·p` is taken off as well: `p ← p − learning_rate·(adam's direction +
    weight_decay·p)`.

    `weight_decay` ≥ 0: 1e-4 is mild, 1e-2 to 1e-1 is common for transformers. `mask` says what decays: a tree of
    booleans (or a prefix of one), or a function from the parameters to it; usually biases and norms do not. All else
    as in `adam`. `update` needs the parameters.

    Raises `ValueError` for a Python number out of its range or `params=None`, `TypeError` for something that is no
    number.

    >>> tx = adamw(0.1, weight_decay=0.5)
    >>> params = jnp.array([1.0])
    >>> tx.update(jnp.array([0.0]), tx.init(params), params)[0]
    Array([-0.05], dtype=float32)

    Source: Loshchilov and Hutter 2019.
    """
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    dtypes = {"mu_dtype": dtype("mu_dtype", mu_dtype), "nu_dtype": dtype("nu_dtype", nu_dtype)}
    return build(ADAMW, data | {"weight_decay": weight_decay}, dtypes | {"mask": mask, "nesterov": bool(nesterov)})
