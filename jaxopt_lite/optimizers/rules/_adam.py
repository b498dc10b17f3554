"""Adam, with and without decoupled weight decay."""

from __future__ import annotations

from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._arithmetic import one_minus_power, root, square
from jaxopt_lite.optimizers._ranges import AT_LEAST_0, FRACTION, RATE, flag
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._values import Values

SETTINGS = {"learning_rate": RATE, "b1": FRACTION, "b2": FRACTION, "eps": AT_LEAST_0, "eps_root": AT_LEAST_0}
MOMENTS = {"mu": Moment(dtype="mu_dtype"), "nu": Moment(dtype="nu_dtype", signed=False)}


def _per_step(s: Values) -> Values:
    rest1, rest2, rate = 1 - s.b1, 1 - s.b2, -s.learning_rate
    first = rate / one_minus_power(rest1, s.t)
    shrink = None if s.weight_decay is None else rate * s.weight_decay
    now = s.replace(rest1=rest1, rest2=rest2, scale2=1 / one_minus_power(rest2, s.t), rate=first, shrink=shrink)
    if not s.nesterov:
        return now
    return now.replace(rate=rate * s.b1 / one_minus_power(rest1, s.t + 1), rate_g=rest1 * first)


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    mu = s.b1 * m.mu + s.rest1 * g
    nu = s.b2 * m.nu + s.rest2 * square(g)
    top = s.rate * mu + s.rate_g * g if s.nesterov else s.rate * mu
    step = top / (root(nu * s.scale2 + s.eps_root) + s.eps)
    if s.weight_decay is not None:
        step = step + s.shrink * p
    return step, {"mu": mu, "nu": nu}


ADAM = Rule("adam", SETTINGS, MOMENTS, _per_leaf, _per_step)
ADAMW = Rule("adamw", SETTINGS | {"weight_decay": AT_LEAST_0}, MOMENTS, _per_leaf, _per_step)


def adam(
    learning_rate: Setting,
    b1: Setting = 0.9,
    b2: Setting = 0.999,
    eps: Setting = 1e-8,
    eps_root: Setting = 0.0,
    mu_dtype: DTypeLike | None = None,
    nu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> Transform:
    """Adam: the mean of past gradients, divided by the root of the mean of their squares.

    `mu ← b1·mu + (1 − b1)·g`, `nu ← b2·nu + (1 − b2)·g²`,
    `p ← p − learning_rate·(mu/(1 − b1ᵗ)) / (√(nu/(1 − b2ᵗ) + eps_root) + eps)`, with t counting steps from 1.

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
        nesterov: whether the mean is one step ahead, `b1·mu/(1 − b1ᵗ⁺¹) + (1 − b1)·g/(1 − b1ᵗ)`. Default: False.
            Static.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state.

    Raises:
        ValueError: if a Python number is out of its range or `nu_dtype` is float16.
        TypeError: if a setting is not a number, or a dtype or the gradients are not floating.

    Example:
        >>> tx = adam(0.1)
        >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
        -0.1

    Reference:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; Dozat, 2016 (nesterov).
    """
    return ADAM(
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        mu_dtype=mu_dtype,
        nu_dtype=nu_dtype,
        nesterov=flag("adam", "nesterov", nesterov),
    )


def adamw(
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
    nesterov: bool = False,
) -> Transform:
    """Adam with decoupled weight decay: the parameters also shrink, whatever the gradients.

    `p ← p − learning_rate·(d + weight_decay·p)`, where d is the direction of `adam`:
    `(mu/(1 − b1ᵗ)) / (√(nu/(1 − b2ᵗ) + eps_root) + eps)` with `mu ← b1·mu + (1 − b1)·g`, `nu ← b2·nu + (1 − b2)·g²`.

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
        nesterov: whether the mean is one step ahead, `b1·mu/(1 − b1ᵗ⁺¹) + (1 − b1)·g/(1 − b1ᵗ)`. Default: False.
            Static.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state. It needs `params`.

    Raises:
        ValueError: if a Python number is out of its range, `nu_dtype` is float16, or `update` is not given the
            parameters.
        TypeError: if a setting is not a number, a leaf of the mask is not a boolean, or the gradients are not
            floating.

    Example:
        >>> tx = adamw(0.1, weight_decay=0.5)
        >>> params = jnp.array([1.0])
        >>> tx.update(jnp.array([0.0]), tx.init(params), params)[0]
        Array([-0.05], dtype=float32)

    Reference:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    return ADAMW(
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        mu_dtype=mu_dtype,
        weight_decay=weight_decay,
        mask=mask,
        nu_dtype=nu_dtype,
        nesterov=flag("adamw", "nesterov", nesterov),
    )
