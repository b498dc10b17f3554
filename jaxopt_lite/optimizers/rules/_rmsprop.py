"""RMSProp: the gradient divided by the root of its recent mean square."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxopt_lite.optimizers._arithmetic import inverse_root, not_negative, one_minus_power, root, square
from jaxopt_lite.optimizers._ranges import AT_LEAST_0, FRACTION, RATE, flag
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rules._rule import Moment, Rule
from jaxopt_lite.optimizers.rules._sgd import looks_ahead
from jaxopt_lite.optimizers.rules._values import Values


def _moments(s: Values) -> dict[str, Moment]:
    moments = {"nu": Moment(start="initial_scale", dtype="nu_dtype", signed=False)}
    if s.centered:
        moments["mu"] = Moment(dtype="mu_dtype")
    if s.momentum is not None:
        moments["trace"] = Moment(dtype="mu_dtype")
    return moments


def _per_step(s: Values) -> Values:
    rest = 1 - s.decay
    scale = 1 / one_minus_power(rest, s.t) if s.bias_correction else None
    return s.replace(rest=rest, rate=-s.learning_rate, scale=scale)


def _per_leaf(g: Array, p: Array | None, m: Values, s: Values) -> tuple[Array, dict[str, Array]]:
    new = {"nu": s.decay * m.nu + s.rest * square(g)}
    spread = new["nu"] * s.scale if s.bias_correction else new["nu"]
    if s.centered:
        new["mu"] = s.decay * m.mu + s.rest * g
        mean = new["mu"] * s.scale if s.bias_correction else new["mu"]
        # A variance that rounding made negative would make the root NaN; so would ∞ − ∞ where the squares overflow.
        spread = jnp.where(jnp.isinf(spread), spread, not_negative(spread - square(mean)))
    scale = inverse_root(spread + s.eps) if s.eps_in_sqrt else 1 / (root(spread) + s.eps)
    step = s.rate * g * scale
    if s.momentum is None:
        return step, new
    trace = step + s.momentum * m.trace
    return (step + s.momentum * trace if s.nesterov else trace), new | {"trace": trace}


RULE = Rule(
    name="rmsprop",
    settings={
        "learning_rate": RATE,
        "decay": FRACTION,
        "eps": AT_LEAST_0,
        "initial_scale": AT_LEAST_0,
        "momentum": FRACTION._replace(optional=True),
    },
    moments=_moments,
    per_leaf=_per_leaf,
    per_step=_per_step,
)


def rmsprop(
    learning_rate: Setting,
    decay: Setting = 0.9,
    eps: Setting = 1e-8,
    initial_scale: Setting = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Setting | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    mu_dtype: DTypeLike | None = None,
    nu_dtype: DTypeLike | None = None,
) -> Transform:
    """RMSProp: the gradient divided by the root of the mean of its squares.

    `nu ← decay·nu + (1 − decay)·g²`, `p ← p − learning_rate·g / √(nu + eps)`.

    Args:
        learning_rate: the size of the step, ≥ 0: a number, a scalar array, a tracer or a schedule.
        decay: decay of the mean of squares, in [0, 1). Default: 0.9, an average of about 10 steps. Number or
            schedule.
        eps: added to the mean of squares under the root, ≥ 0. Default: 1e-8. Number or schedule.
        initial_scale: what the mean of squares starts at, ≥ 0. Default: 0. Number or schedule, of which `init`
            reads the value at 0.
        eps_in_sqrt: whether `eps` is inside the root; without, the divisor is `√nu + eps`, as in PyTorch. Default:
            True. Static.
        centered: whether the square of the mean of gradients is subtracted: `nu − mu²` with `mu ← decay·mu + (1 −
            decay)·g`. Default: False. Static.
        momentum: decay of a sum of steps, `trace ← step + momentum·trace`, in [0, 1). Default: `None`, which is
            static and stores no sum. Number or schedule.
        nesterov: whether the update is `step + momentum·trace`. Default: False. Static; needs `momentum`.
        bias_correction: whether `nu` and `mu` are divided by `1 − decayᵗ`. Default: False. Static.
        mu_dtype: dtype of `mu` and `trace`. Default: float32 for half precision, otherwise the dtype of the
            parameters.
        nu_dtype: dtype of `nu`. Default: float32 for half precision, otherwise the dtype of the
            parameters. bfloat16 is rounded stochastically; float16, whose range is too small, is refused.

    Returns:
        A transform. Its `update(grads, state, params)` returns the updates to add to the parameters and the next
        state.

    Raises:
        ValueError: if a Python number is out of its range, `nu_dtype` is float16, or `nesterov` is true without
            `momentum`.
        TypeError: if a setting is not a number, or a dtype or the gradients are not floating.

    Example:
        >>> tx = rmsprop(0.1, decay=0.0)
        >>> round(float(tx.update(jnp.array(5.0), tx.init(jnp.array(0.0)))[0]), 4)
        -0.1

    Reference:
        Tieleman and Hinton, 2012; Graves, 2013 (centered).
    """
    return RULE(
        learning_rate=learning_rate,
        decay=decay,
        eps=eps,
        initial_scale=initial_scale,
        eps_in_sqrt=flag("rmsprop", "eps_in_sqrt", eps_in_sqrt),
        centered=flag("rmsprop", "centered", centered),
        momentum=momentum,
        nesterov=looks_ahead("rmsprop", nesterov, momentum),
        bias_correction=flag("rmsprop", "bias_correction", bias_correction),
        mu_dtype=mu_dtype,
        nu_dtype=nu_dtype,
    )
