"""Optimizers of embedding tables: a step reads and writes the rows that it uses, not the whole table."""

from jaxopt_lite.optimizers.rows._gradient import gather, value_and_grad
from jaxopt_lite.optimizers.rows._optimizers import adagrad, adam, sgd
from jaxopt_lite.optimizers.rows._table import RowsState, RowTransform

__all__ = ["RowTransform", "RowsState", "adagrad", "adam", "gather", "sgd", "value_and_grad"]
