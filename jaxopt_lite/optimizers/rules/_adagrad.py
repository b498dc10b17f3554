"""AdaGrad: each entry's step shrinks with the gradients it has seen."""

from typing import Any

from jaxopt_lite.optimizers._arguments import dtype
from jaxopt_lite.optimizers._arithmetic import inverse_root, square
from jaxopt_lite.optimizers._transform import Transform, build
from jaxopt_lite.optimizers.rules._rule import Elementwise, Slot


def _slots(names: Any, fixed: Any) -> dict[str, Slot]:
    return {"sum_of_squares": Slot(start="initial_accumulator_value", dtype="nu_dtype", modulus=True)}


def _per_step(s: Any, t: Any, fixed: Any) -> Any:
    return s | {"rate": -s["learning_rate"]}


def _per_leaf(g: Any, p: Any, m: Any, s: Any, fixed: Any) -> Any:
    total = m["sum_of_squares"] + square(g)
    return s["rate"] * g * inverse_root(total + s["eps"]), {"sum_of_squares": total}


RULE = Elementwise("adagrad", _slots, _per_step, _per_leaf)


def adagrad(
    learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7, nu_dtype: Any = None
) -> Transform:
    """AdaGrad: the step of each entry is divided by the root of the sum of its squared gradients.

    `sum_of_squares ← sum_of_squares + g²`, `p ← p − learning_rate·g / √(sum_of_squares + eps)`.

    The sum starts at `initial_accumulator_value` ≥ 0 (0.1: the first steps are not all of full size). `eps` ≥ 0 keeps
    the division finite. `nu_dtype` is the sum's dtype, by default float32 for half precision and the parameters' own
    otherwise. Settings are numbers, arrays, tracers or schedules.

    Raises `ValueError` for a Python number out of its range, `TypeError` for something that is no number.

    >>> tx = adagrad(0.1, initial_accumulator_value=0.0)
    >>> round(float(tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))[0]), 4)
    -0.1

    Source: Duchi, Hazan and Singer 2011.
    """
    data = {"learning_rate": learning_rate, "initial_accumulator_value": initial_accumulator_value, "eps": eps}
    return build(RULE, data, {"nu_dtype": dtype("nu_dtype", nu_dtype)})
