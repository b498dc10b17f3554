"""NAdam: Adam with Nesterov's look ahead, with and without weight decay."""

from __future__ import annotations

import dataclasses

from jax.typing import DTypeLike

from jaxopt_lite.optimizers._ranges import flag
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._adam import ADAM, ADAMW

NADAM = dataclasses.replace(ADAM, name="nadam")
NADAMW = dataclasses.replace(ADAMW, name="nadamw")


def nadam(
    learning_rate: Setting,
    b1: Setting = 0.9,
    b2: Setting = 0.999,
    eps: Setting = 1e-8,
    eps_root: Setting = 0.0,
    mu_dtype: DTypeLike | None = None,
    nu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> Transform:
    """NAdam: Adam whose mean of gradients is one step ahead.

    `p ← p − learning_rate·m/(√(nu/(1 − b2ᵗ) + eps_root) + eps)` with `m = b1·mu/(1 − b1ᵗ⁺¹) + (1 − b1)·g/(1 − b1ᵗ)`,
    `mu ← b1·mu + (1 − b1)·g`, `nu ← b2·nu + (1 − b2)·g²`. It is `adam(..., nesterov=True)`.

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
        nu_dtype: dtype of the mean of squares. Default: float32 for half precision, otherwise the dtype of the
            parameters. bfloat16 is rounded stochastically; float16, whose range is too small, is refused.
        nesterov: whether the mean is one step ahead; without, the rule is `adam`. Default: True. Static.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state.

    Raises:
        ValueError: if a Python number is out of its range or `nu_dtype` is float16.
        TypeError: if a setting is not a number, or a dtype or the gradients are not floating.

    Example:
        >>> tx = nadam(0.1, b1=0.0)
        >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
        -0.1

    Reference:
        Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
    """
    return NADAM(
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        mu_dtype=mu_dtype,
        nu_dtype=nu_dtype,
        nesterov=flag("nadam", "nesterov", nesterov),
    )


def nadamw(
    learning_rate: Setting,
    b1: Setting = 0.9,
    b2: Setting = 0.999,
    eps: Setting = 1e-8,
    eps_root: Setting = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Setting = 1e-4,
    mask: object = None,
    nu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> Transform:
    """NAdam with decoupled weight decay: the parameters also shrink, whatever the gradients.

    `p ← p − learning_rate·(d + weight_decay·p)`, where d is the direction of `nadam`.

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
        weight_decay: decoupled decay, ≥ 0: `learning_rate·weight_decay·p` is subtracted as well. 1e-4 is mild, 1e-2
            to 1e-1 is common for transformers. Default: 1e-4. Number or schedule.
        mask: which parameters decay: a tree of booleans, a prefix of one, or a function from the parameters to it.
            Usually biases and norms do not. Default: all. Static.
        nu_dtype: dtype of the mean of squares. Default: float32 for half precision, otherwise the dtype of the
            parameters. bfloat16 is rounded stochastically; float16, whose range is too small, is refused.
        nesterov: whether the mean is one step ahead; without, the rule is `adamw`. Default: True. Static.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state. It needs `params`.

    Raises:
        ValueError: if a Python number is out of its range, `nu_dtype` is float16, or `update` is not given the
            parameters.
        TypeError: if a setting is not a number, a leaf of the mask is not a boolean, or the gradients are not
            floating.

    Example:
        >>> tx = nadamw(0.1, weight_decay=0.5)
        >>> params = jnp.array([1.0])
        >>> tx.update(jnp.array([0.0]), tx.init(params), params)[0]
        Array([-0.05], dtype=float32)

    Reference:
        Dozat, 2016; Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    return NADAMW(
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        mu_dtype=mu_dtype,
        weight_decay=weight_decay,
        mask=mask,
        nu_dtype=nu_dtype,
        nesterov=flag("nadamw", "nesterov", nesterov),
    )
