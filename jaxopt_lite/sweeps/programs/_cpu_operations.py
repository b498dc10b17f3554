"""Convolutions and gradients of max-pooling in forms for which XLA has fast code on CPU, inside loops too."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
_MOST_PRODUCTS = 64


def convolution(
    image: Array,
    kernel: Array,
    *,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    precision: Any,
    preferred_element_type: Any,
) -> Array:
    """`lax.conv_general_dilated`, given the parameters of its primitive.

    XLA calls Eigen's convolution if the axes are in the order batch, space, features, and else a loop that is 5 to 30
    times slower. It reorders axes outside of loops only (https://github.com/jax-ml/jax/issues/12868), and the gradients
    of a convolution have their axes in another order, so they are reordered here.

    Some gradients of kernels are matrix products instead, one for each position of the kernel. They are faster for
    groups, for strides, and for kernels of one position.
    """
    image_spec, kernel_spec, out_spec = dimension_numbers
    space, kernel_size = image_spec[2:], tuple(kernel.shape[a] for a in kernel_spec[2:])
    outputs = tuple(
        max(0, (_dilated(image.shape[a], d) + low + high - _dilated(k, r)) // s + 1)
        for a, k, s, (low, high), d, r in zip(
            space, kernel_size, window_strides, padding, lhs_dilation, rhs_dilation, strict=True
        )
    )
    empty = 0 in (*image.shape, *kernel.shape, *outputs)
    count = math.prod(outputs)
    few = count < math.prod(kernel_size) and count <= _MOST_PRODUCTS
    grouped = 1 < batch_group_count < image.shape[image_spec[0]]
    if (
        few
        and not empty
        and feature_group_count == 1
        and (grouped or count == 1 or {*lhs_dilation, *rhs_dilation} != {1})
    ):
        parts = _parts(
            image, kernel, image_spec, kernel_spec, window_strides, padding, lhs_dilation, rhs_dilation, outputs
        )
        dtype = preferred_element_type or image.dtype
        out = jnp.stack(
            [_contracted(x, w, image_spec, kernel_spec, batch_group_count, precision, dtype) for x, w in parts], 1
        )
        out = out.reshape(out.shape[0], *outputs, out.shape[-1])
    else:
        last = image.ndim - 1
        channels_last, kernel_order = (0, last, *range(1, last)), (last, last - 1, *range(last - 1))
        out = lax.conv_general_dilated(
            lax.transpose(image, (image_spec[0], *space, image_spec[1])),
            lax.transpose(kernel, (*kernel_spec[2:], kernel_spec[1], kernel_spec[0])),
            window_strides,
            padding,
            lhs_dilation,
            rhs_dilation,
            lax.ConvDimensionNumbers(channels_last, kernel_order, channels_last),
            feature_group_count,
            batch_group_count,
            precision,
            preferred_element_type,
        )
    order = (out_spec[0], *out_spec[2:], out_spec[1])
    return lax.transpose(out, sorted(range(out.ndim), key=order.__getitem__))


def max_pool_gradient(
    source: Array,
    operand: Array,
    *,
    select_prim: Any,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Array:
    """The gradient of a maximum or minimum over windows, given the parameters of `select_and_scatter_add`.

    Each entry of `source` goes to the first entry of its window that `select_prim` prefers to all others. XLA visits
    the windows one by one; here each position in the window is a few elementwise operations. The result is bitwise
    identical, but for the order of the sum where windows overlap.
    """
    if 0 in source.shape:
        return jnp.zeros(operand.shape, source.dtype)
    # as JAX does on CPU: entries of the padding are chosen only if all others are infinite
    worst = jnp.array(_least(operand.dtype) if select_prim.name == "ge" else _greatest(operand.dtype), operand.dtype)
    padded = lax.pad(operand, worst, [(low, high, 0) for low, high in padding])
    positions = list(itertools.product(*map(range, window_dimensions)))

    def entries(at: Sequence[int]) -> Array:
        return _slice(padded, range(operand.ndim), at, window_strides, source.shape)

    best, chosen = entries(positions[0]), jnp.zeros(source.shape, jnp.int32)
    for nth, at in enumerate(positions[1:], start=1):
        entry = entries(at)
        keep = select_prim.bind(best, entry)
        best, chosen = lax.select(keep, best, entry), lax.select(keep, chosen, jnp.full_like(chosen, nth))
    zero, total = jnp.zeros((), source.dtype), None
    for nth, at in enumerate(positions):
        sides = [
            (begin - low, size + low - begin - _dilated(outputs, stride), stride - 1)
            for begin, size, (low, high), outputs, stride in zip(
                at, operand.shape, padding, source.shape, window_strides, strict=True
            )
        ]
        part = lax.pad(lax.select(chosen == nth, source, jnp.zeros_like(source)), zero, sides)
        total = part if total is None else total + part
    assert total is not None
    return total


def _least(dtype: Any) -> Any:
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def _greatest(dtype: Any) -> Any:
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max


def _parts(
    image: Array,
    kernel: Array,
    image_spec: Sequence[int],
    kernel_spec: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    image_dilation: Sequence[int],
    kernel_dilation: Sequence[int],
    outputs: Sequence[int],
) -> Iterator[tuple[Array, Array]]:
    """For each position of the result the parts of image and kernel that meet there.

    The output p sums image[q] · kernel[k] over p·stride + k·kernel_dilation = q·image_dilation + low. A dilated image
    is not filled with zeros: if the kernel is not dilated, the kernel is cut for every q instead of the image for every
    k.
    """
    kernel_size = [kernel.shape[a] for a in kernel_spec[2:]]
    whole = [(0, 0, 0)] * image.ndim
    if set(kernel_dilation) == {1}:
        size, space = [image.shape[a] for a in image_spec[2:]], kernel_spec[2:]
        before = [max(0, (p - 1) * s - low) for p, s, (low, _) in zip(outputs, strides, padding, strict=True)]
        for axis, n, k, d, (low, _), begin in zip(
            space, size, kernel_size, image_dilation, padding, before, strict=True
        ):
            whole[axis] = (begin, max(0, (n - 1) * d + low - k + 1), 0)
        padded = lax.pad(kernel, jnp.zeros((), kernel.dtype), whole)
        for at in itertools.product(*map(range, outputs)):
            start = [b + low - p * s for b, (low, _), p, s in zip(before, padding, at, strides, strict=True)]
            yield image, _slice(padded, space, start, image_dilation, size)
        return
    for axis, (low, high), d in zip(image_spec[2:], padding, image_dilation, strict=True):
        whole[axis] = (low, high, d - 1)
    padded = lax.pad(image, jnp.zeros((), image.dtype), whole)
    for at in itertools.product(*map(range, outputs)):
        start = [p * s for p, s in zip(at, strides, strict=True)]
        yield _slice(padded, image_spec[2:], start, kernel_dilation, kernel_size), kernel


def _contracted(
    x: Array, w: Array, x_spec: Sequence[int], w_spec: Sequence[int], groups: int, precision: Any, dtype: Any
) -> Array:
    """Part of an image times a kernel of its size, as (batch, features), summed over features of the image and space.

    The axes are contracted in the order that they have in `x`: in the gradient of a kernel that is their order in `w`
    too, so that the products need no transposed copies.
    """
    pairs = sorted(zip(x_spec[1:], w_spec[1:], strict=True))
    left = lax.transpose(x, (*(i for i, _ in pairs), x_spec[0])).reshape(-1, x.shape[x_spec[0]])
    right = lax.transpose(w, (*(j for _, j in pairs), w_spec[0])).reshape(-1, w.shape[w_spec[0]])
    half = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
    total = jnp.float32 if half else dtype
    if groups == 1:
        return lax.dot_general(left, right, (((0,), (0,)), ((), ())), precision, total).astype(dtype)
    left, right = (lax.transpose(m.reshape(len(m), groups, -1), (1, 0, 2)) for m in (left, right))
    found = lax.dot_general(left, right, (((1,), (1,)), ((0,), (0,))), precision, total)  # (group, batch, features)
    return lax.transpose(found, (1, 0, 2)).reshape(found.shape[1], -1).astype(dtype)


def _slice(x: Array, axes: Sequence[int], start: Sequence[int], strides: Sequence[int], sizes: Sequence[int]) -> Array:
    """`sizes` entries along some axes, from `start` on, every `strides`-th."""
    starts, limits, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for axis, begin, stride, size in zip(axes, start, strides, sizes, strict=True):
        starts[axis], limits[axis], steps[axis] = begin, begin + (size - 1) * stride + 1, stride
    return lax.slice(x, starts, limits, steps)


def _dilated(size: int, dilation: int) -> int:
    return (size - 1) * dilation + 1 if size else 0
