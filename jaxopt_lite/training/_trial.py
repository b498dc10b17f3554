"""The leaves of a trial: which are numbers, that is data of a compiled program, and which are static."""

from typing import Any

import jax
import numpy as np
import optax


class Fixed(float):
    """A float that is static: one written as a plain value in a trial, where a model may need it to be built."""


def is_number(leaf: Any) -> bool:
    """Whether a leaf is data. Python integers, truth values, strings and functions are static."""
    if isinstance(leaf, np.generic):
        return leaf.dtype.kind not in "OSUMm"
    return isinstance(leaf, float | np.ndarray | jax.Array) and not isinstance(leaf, Fixed)


def is_plain(keys: tuple[Any, ...]) -> bool:
    """Whether the innermost container on a path is a dict, a list or a tuple, or there is none.

    Python floats in such a place are static, unlike the settings of an optimizer or a bound activation.
    """
    return not keys or isinstance(keys[-1], jax.tree_util.DictKey | jax.tree_util.SequenceKey)


def with_fixed(trial: Any) -> Any:
    """The trial with NumPy scalars in plain places as Python's, and each float there as a `Fixed`."""

    def marked(keys: Any, leaf: Any) -> Any:
        if not is_plain(keys):
            return leaf
        value = leaf.item() if isinstance(leaf, np.generic) and is_number(leaf) else leaf
        return Fixed(value) if type(value) is float else value

    return jax.tree_util.tree_map_with_path(marked, trial)


def with_scalars(trial: Any) -> Any:
    """The trial with each array of shape () as a scalar of its type: NNX refuses arrays in attributes of modules.

    Optimizers stay as they are: those that a sweep has merged are no pytrees. So do traced numbers: they have no value.
    """

    def scalar(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray | jax.Array) or isinstance(leaf, jax.core.Tracer):
            return leaf
        if leaf.shape or is_key(leaf):
            return leaf
        return leaf.item() if getattr(leaf, "weak_type", False) else np.asarray(leaf)[()]

    return jax.tree.map(scalar, trial, is_leaf=lambda x: isinstance(x, optax.GradientTransformation))


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of random keys."""
    return isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
