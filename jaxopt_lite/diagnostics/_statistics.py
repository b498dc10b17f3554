"""Statistics of a layer on a batch: pure functions of arrays, the batch first and the units or channels last."""

import jax
import jax.numpy as jnp

Array = jax.Array


def root_mean_square(a: Array) -> Array:
    """The root of the mean square of all entries, sqrt(mean(a²)).

    Args:
        a: real array of any shape.

    Returns:
        A float32 scalar. Entries whose squares are outside of float32 do no harm.

    Example:
        >>> float(root_mean_square(jnp.array([3e30, 4e30]))) / 1e30  # doctest: +ELLIPSIS
        3.535...
    """
    return norm(a) / jnp.sqrt(jnp.float32(a.size))


def norm(a: Array) -> Array:
    """The Euclidean norm of all entries, sqrt(sum(a²)).

    Args:
        a: real array of any shape.

    Returns:
        A float32 scalar.

    Example:
        >>> float(norm(jnp.array([3.0, 4.0])))
        5.0
    """
    a, scale = _scaled(a)
    return scale * jnp.sqrt(jnp.sum(a * a))


def offset(a: Array) -> Array:
    """How far a layer's values are from zero-centred, |mean(a)| / root mean square, from 0 to 1.

    Args:
        a: real array of any shape.

    Returns:
        A float32 scalar: 0 for zero-centred values and for zeros, 1 for a constant.

    Example:
        >>> float(offset(jnp.array([1.0, -1.0, 3.0, 1.0])))  # doctest: +ELLIPSIS
        0.577...
    """
    a, _ = _scaled(a)
    size = jnp.sqrt(jnp.mean(a * a))
    return jnp.where(size > 0, jnp.abs(jnp.mean(a)) / jnp.where(size > 0, size, 1), 0)


def dead_share(activation: Array, slope: Array) -> Array:
    """The share of units that are dead: constant on the whole batch, with derivative 0 throughout.

    Args:
        activation: shape (batch, ..., units).
        slope: the derivative of the activation at the same entries.

    Returns:
        A float32 scalar from 0 to 1. For a convolution a unit is a channel, at all positions.

    Example:
        >>> z = jnp.array([[-1.0, 2.0], [-3.0, -1.0]])
        >>> float(dead_share(jnp.maximum(z, 0), jnp.where(z > 0, 1.0, 0.0)))
        0.5
    """
    axes = tuple(range(activation.ndim - 1))
    first = activation[(slice(0, 1),) * len(axes)]
    return jnp.mean(jnp.all((activation == first) & (slope == 0), axes).astype(jnp.float32))


def flat_share(slope: Array, largest: Array | float = 1.0) -> Array:
    """The share of entries where the activation is nearly flat: its derivative is below 5 % of its largest.

    Args:
        slope: derivatives, of any shape.
        largest: the largest absolute derivative of the activation. Default 1.

    Returns:
        A float32 scalar from 0 to 1.

    Example:
        >>> float(flat_share(jnp.array([0.01, -0.02, 0.5, 1.0])))
        0.5
    """
    return jnp.mean(is_flat(slope, largest).astype(jnp.float32))


def is_flat(slope: Array, largest: Array | float = 1.0) -> Array:
    """Where the absolute derivative is below 5 % of the largest."""
    return jnp.abs(slope.astype(jnp.float32)) < 0.05 * jnp.asarray(largest, jnp.float32)


def likeness(a: Array) -> Array:
    """How alike different inputs are in a layer: the mean |cosine| between the values of two different examples.

    Args:
        a: shape (batch, ...), a batch of at least 2.

    Returns:
        A float32 scalar from 0 to 1. At 1 all examples have the same direction: what told them apart is lost.

    Example:
        >>> float(likeness(jnp.array([[1.0, 0.0], [0.0, 1.0]])))
        0.0
    """
    rows, _ = _scaled(a.reshape(a.shape[0], -1))
    sizes = jnp.sqrt(jnp.sum(rows * rows, axis=1, keepdims=True))
    rows = jnp.where(sizes > 0, rows / jnp.where(sizes > 0, sizes, 1), 0)
    cosines = jnp.abs(jnp.matmul(rows, rows.T, precision="highest"))
    zeros = sizes[:, 0] == 0
    cosines = jnp.where(zeros[:, None] & zeros[None, :], 1.0, cosines)
    n = a.shape[0]
    return jnp.minimum((jnp.sum(cosines) - jnp.trace(cosines)) / (n * (n - 1)), 1.0)


def update_ratio(update: Array, weights: Array) -> Array:
    """The size of an update relative to the weights that it changes; about 1e-3 is usual.

    Args:
        update: what the optimizer adds to the weights.
        weights: the weights, of the same shape.

    Returns:
        A float32 scalar: root mean square of the update / that of the weights. For weights that are all 0 it is
        infinite, and NaN if the update is 0 too.

    Example:
        >>> float(update_ratio(jnp.array([0.5, 0.5]), jnp.array([1.0, 1.0])))
        0.5
    """
    return norm(update) / norm(weights)


def _scaled(a: Array) -> tuple[Array, Array]:
    """The array in float32 with entries from -1 to 1, and the factor that it was divided by."""
    a = a.astype(jnp.float32)
    largest = jnp.max(jnp.abs(a))
    scale = jnp.where(largest > 0, largest, 1)
    return a / scale, scale
