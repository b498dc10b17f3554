"""NAdam: Adam with Nesterov's look ahead, with and without weight decay."""

from typing import Any

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules import _adam

NADAM = _adam.ADAM._replace(name="nadam")
NADAMW = _adam.ADAM._replace(name="nadamw")


def nadam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Transform:
    """NAdam: Adam whose mean is one step ahead.

    `p ← p − learning_rate·m/(√(nu/(1 − b2ᵗ) + eps_root) + eps)` with `m = b1·mu/(1 − b1ᵗ⁺¹) + (1 − b1)·g/(1 − b1ᵗ)`
    and `mu`, `nu` as in `adam`; it is `adam(..., nesterov=True)` under its own name. Settings and errors as there.

    >>> tx = nadam(0.1, b1=0.0)
    >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
    -0.1

    Source: Dozat 2016.
    """
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    dtypes = {"mu_dtype": dtype("mu_dtype", mu_dtype), "nu_dtype": dtype("nu_dtype", nu_dtype)}
    return build(NADAM, data, dtypes | {"nesterov": bool(nesterov)})


def nadamw(
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
    nesterov: bool = True,
) -> Transform:
    """NAdam with decoupled weight decay: `learning_rate·weight_decay·p` is taken off at every step as well.

    Direction as in `nadam`; `weight_decay`, `mask` and errors as in `adamw`. `update` needs the parameters.

    >>> tx = nadamw(0.1, weight_decay=0.5)
    >>> params = jnp.array([1.0])
    >>> tx.update(jnp.array([0.0]), tx.init(params), params)[0]
    Array([-0.05], dtype=float32)

    Source: Dozat 2016; Loshchilov and Hutter 2019.
    """
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    dtypes = {"mu_dtype": dtype("mu_dtype", mu_dtype), "nu_dtype": dtype("nu_dtype", nu_dtype)}
    return build(NADAMW, data | {"weight_decay": weight_decay}, dtypes | {"mask": mask, "nesterov": bool(nesterov)})
