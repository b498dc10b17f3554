"""The three row optimizers: the rules of the whole tree, for tables of which a step touches few rows."""

from typing import Any

from jaxopt_lite.optimizers.rows._table import RowTransform, row_transform
from jaxopt_lite.optimizers.rules import _adagrad, _adam, _sgd


def sgd(learning_rate: Any) -> RowTransform:
    """Gradient descent on the touched rows: `row ← row − learning_rate·(sum of the row's gradients)`.

    Equal to `optimizers.sgd` on the whole table, as a row without a gradient does not move. `init(table)` gives the
    state of a table (rows, features); `update(table, state, ids, row_grads)` the new table and state, where
    `row_grads` has the shape of `ids` and then the features. An id may stand several times: its gradients are summed.
    Ids outside the table are ignored, and so serve as padding. Donate table and state to `jit`, and only the touched
    rows are written.

    >>> tx = rows.sgd(0.5)
    >>> table = jnp.zeros((4, 1))
    >>> table, _ = tx.update(table, tx.init(table), jnp.array([2, 2]), jnp.ones((2, 1)))
    >>> table[:, 0]
    Array([ 0.,  0., -1.,  0.], dtype=float32)
    """
    fixed = (("momentum", None), ("nesterov", False))
    return row_transform("sgd", _sgd.RULE, {"learning_rate": learning_rate}, fixed)


def adagrad(learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> RowTransform:
    """AdaGrad on the touched rows; equal to `optimizers.adagrad` on the whole table.

    A row without a gradient does not move, nor does its sum of squares grow. Shapes as in `rows.sgd`, settings as in
    `optimizers.adagrad`.

    >>> tx = rows.adagrad(0.1, initial_accumulator_value=0.0)
    >>> table = jnp.zeros((3, 1))
    >>> table, _ = tx.update(table, tx.init(table), jnp.array([1]), jnp.full((1, 1), 7.0))
    >>> table[:, 0]
    Array([ 0. , -0.1,  0. ], dtype=float32)

    Source: Duchi, Hazan and Singer 2011.
    """
    data = {"learning_rate": learning_rate, "initial_accumulator_value": initial_accumulator_value, "eps": eps}
    return row_transform("adagrad", _adagrad.RULE, data)


def adam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    catch_up: bool = False,
) -> RowTransform:
    """Adam on the touched rows: lazy, or exact with `catch_up=True`.

    Adam moves every row at every step, as its mean of gradients dies away slowly. Lazily, a row that is not touched
    does not move and its moments wait: another algorithm, often as good. With `catch_up=True` a touched row first
    makes up the steps that it missed, with zero gradients, so that it is where the dense rule has it;
    `catch_up(table, state)` does that for all rows, before the table is evaluated or saved. Missed steps below 1e-9
    of the first are left out. The gradient is that of the rows as they were gathered: where it depends on them,
    call `catch_up` before gathering rows that have waited, for the very steps of the dense rule. A setting changed
    in mid-run counts for missed steps too. Shapes as in `rows.sgd`, settings as in `optimizers.adam`.

    >>> tx = rows.adam(0.1, catch_up=True)
    >>> table = jnp.zeros((2, 1))
    >>> state = tx.init(table)
    >>> for row in (0, 1):
    ...     table, state = tx.update(table, state, jnp.array([row]), jnp.ones((1, 1)))
    >>> table, state = tx.catch_up(table, state)
    >>> [round(float(x), 3) for x in table[:, 0]]
    [-0.167, -0.074]

    Source: Kingma and Ba 2015; the lazy variant as in TensorFlow's LazyAdam.
    """
    fixed = (("mu_dtype", None), ("nu_dtype", None), ("nesterov", False))
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    return row_transform("adam", _adam.ADAM, data, fixed, exact=bool(catch_up))
