"""Stochastic gradient descent, with or without momentum."""

from typing import Any

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    return {} if "momentum" in fixed and fixed["momentum"] is None else {"trace": Slot(dtype="accumulator_dtype")}


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    return s | {"rate": -s["learning_rate"]}


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    if "trace" not in m:
        return s["rate"] * g, {}
    trace = g + s["momentum"] * m["trace"]
    direction = g + s["momentum"] * trace if fixed["nesterov"] else trace
    return s["rate"] * direction, {"trace": trace}


RULE = Elementwise("sgd", _slots, _per_step, _per_leaf)


def sgd(learning_rate: Any, momentum: Any = None, nesterov: bool = False, accumulator_dtype: Any = None) -> Transform:
    """Stochastic gradient descent: against the gradient, or against a decaying sum of gradients.

    Without momentum `p ← p − learning_rate·g`. With it `trace ← g + momentum·trace` and `p ← p − learning_rate·trace`;
    with `nesterov` the step is `−learning_rate·(g + momentum·trace)`, the gradient as if one step ahead.

    `learning_rate` ≥ 0 is a number, an array, a tracer or a schedule; `momentum` in [0, 1) likewise, `None` (the
    default) keeps no trace and no memory. `accumulator_dtype` is the trace's dtype, by default float32 for half
    precision and the parameters' own otherwise. `None` and `nesterov` are structure, the rest are leaves.

    Raises `ValueError` for a Python number out of its range, `TypeError` for something that is no number.

    >>> tx = sgd(0.1, momentum=0.9)
    >>> step, state = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
    >>> step
    Array([-0.1, -0.1], dtype=float32)

    Source: Robbins and Monro 1951; Polyak 1964 (momentum); Nesterov 1983 and Sutskever et al. 2013 (nesterov).
    """
    fixed = {"nesterov": bool(nesterov), "accumulator_dtype": dtype("accumulator_dtype", accumulator_dtype)}
    return build(RULE, {"learning_rate": learning_rate, "momentum": momentum}, fixed)
