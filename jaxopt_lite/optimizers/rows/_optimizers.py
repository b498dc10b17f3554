"""The three row optimizers: the rules of the whole tree, for tables of which a step touches few rows."""

from jaxopt_lite.optimizers._ranges import flag
from jaxopt_lite.optimizers._types import Setting
from jaxopt_lite.optimizers.rows._table import RowTransform, row_transform
from jaxopt_lite.optimizers.rules import _adagrad, _adam, _sgd


def sgd(learning_rate: Setting) -> RowTransform:
    """Gradient descent on the touched rows: `row ← row − learning_rate·(sum of the row's gradients)`.

    Equal to `optimizers.sgd` on the whole table, as a row without a gradient does not move. See `RowTransform` for
    the three functions; donate table and state to `jit`, and only the touched rows are written.

    Args:
        learning_rate: the step size, ≥ 0; a number, an array, a tracer or a schedule.

    Returns:
        A `RowTransform` whose leaf is `learning_rate`.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if the learning rate is `None`, a boolean or a string.

    Example:
        >>> tx = rows.sgd(0.5)
        >>> table = jnp.zeros((4, 1))
        >>> table, _ = tx.update(table, tx.init(table), jnp.array([2, 2]), jnp.ones((2, 1)))
        >>> table[:, 0]
        Array([ 0.,  0., -1.,  0.], dtype=float32)
    """
    fixed = (("momentum", None), ("nesterov", False))
    return row_transform("sgd", _sgd.RULE, {"learning_rate": learning_rate}, fixed)


def adagrad(learning_rate: Setting, initial_accumulator_value: Setting = 0.1, eps: Setting = 1e-7) -> RowTransform:
    """AdaGrad on the touched rows: `sum ← sum + g²;  row ← row − learning_rate·g/√(sum + eps)`.

    Equal to `optimizers.adagrad` on the whole table: a row without a gradient does not move, nor does its sum of
    squares grow. See `RowTransform` for the three functions.

    Args:
        learning_rate: the step size, ≥ 0; a number, an array, a tracer or a schedule, as are the others.
        initial_accumulator_value: the sum of squares at the start, ≥ 0.
        eps: added to the sum of squares, ≥ 0; it bounds the step of tiny gradients.

    Returns:
        A `RowTransform` whose leaves are the three settings.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if the learning rate is `None`, or a setting a boolean or a string.

    Example:
        >>> tx = rows.adagrad(0.1, initial_accumulator_value=0.0)
        >>> table = jnp.zeros((3, 1))
        >>> table, _ = tx.update(table, tx.init(table), jnp.array([1]), jnp.full((1, 1), 7.0))
        >>> table[:, 0]
        Array([ 0. , -0.1,  0. ], dtype=float32)

    Reference:
        Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011.
    """
    data = {"learning_rate": learning_rate, "initial_accumulator_value": initial_accumulator_value, "eps": eps}
    return row_transform("adagrad", _adagrad.RULE, data)


def adam(
    learning_rate: Setting,
    b1: Setting = 0.9,
    b2: Setting = 0.999,
    eps: Setting = 1e-8,
    eps_root: Setting = 0.0,
    catch_up: bool = False,
) -> RowTransform:
    """Adam on the touched rows: lazy, or equal to the dense rule with `catch_up=True`.

    Adam moves every row at every step, as its mean of gradients decays slowly. The lazy form, another algorithm that is
    often as good, leaves rows without a gradient and their moments alone. With `catch_up=True` a touched row first
    makes the steps that it missed, with zero gradients, so that it is where the dense rule has it. Missed steps below
    1e-9 of the first are left out, unless `b1` or `b2` is a schedule. A changed setting applies to missed steps too.
    The gradient is taken at the rows as they were gathered: call `catch_up(table, state)` before gathering rows that
    missed steps, if the gradient must be the dense rule's.

    Args:
        learning_rate: the step size, ≥ 0; a number, an array, a tracer or a schedule, as are the others.
        b1: the decay of the mean of gradients, in [0, 1).
        b2: the decay of the mean of squared gradients, in [0, 1).
        eps: added to the root of the mean of squares, ≥ 0; it bounds the step of tiny gradients.
        eps_root: added under the root, ≥ 0; above 0 only for derivatives through the optimizer.
        catch_up: make missed steps. Static; the state then has an int32 number per row as well.

    Returns:
        A `RowTransform` whose leaves are the five settings.

    Raises:
        ValueError: if a Python number is out of its range.
        TypeError: if the learning rate is `None`, or a setting a boolean or a string.

    Example:
        >>> tx = rows.adam(0.1)
        >>> table = jnp.zeros((2, 1))
        >>> table, _ = tx.update(table, tx.init(table), jnp.array([1]), jnp.ones((1, 1)))
        >>> [round(float(x), 3) for x in table[:, 0]]
        [0.0, -0.1]

    Reference:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; TensorFlow's LazyAdam for the lazy form.
    """
    fixed = (("mu_dtype", None), ("nu_dtype", None), ("nesterov", False))
    data = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    return row_transform("adam", _adam.ADAM, data, fixed, exact=flag("rows.adam", "catch_up", catch_up))
