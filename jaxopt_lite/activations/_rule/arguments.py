"""What an activation accepts: real arrays; parameters that fit them; positive numbers where the formula needs them."""

import numbers
import operator
from typing import SupportsIndex

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def real(name: str, x: ArrayLike, what: str = "x") -> jax.Array:
    """`x` as a floating array (integers become the default float); complex and boolean input is a TypeError."""
    if isinstance(x, float):
        return jnp.asarray(x)
    if isinstance(x, int) and not isinstance(x, bool):
        return jnp.asarray(float(x))
    if isinstance(x, str):
        raise TypeError(f"{name}: {what} is the text {x!r}, but {name} needs an array of real numbers")
    if x is None:
        raise TypeError(f"{name}: {what} is None, but {name} needs an array of real numbers")
    array = jnp.asarray(x)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    if jnp.issubdtype(array.dtype, jnp.integer):
        weak = jax.typeof(array).weak_type
        return array * 1.0 if weak else array.astype(jnp.result_type(float))
    cure = "use its real part, its abs or its angle" if array.dtype.kind == "c" else "cast it with .astype(jnp.float32)"
    raise TypeError(
        f"{name}: {what} has dtype {array.dtype} and shape {array.shape}, but {name} needs real numbers; {cure}"
    )


def fitting(name: str, parameter: ArrayLike, x: jax.Array) -> jax.Array:
    """A parameter as a floating array that broadcasts against x without enlarging it, else a ValueError."""
    array = real(name, parameter, "a parameter")
    shape = (1,) * (x.ndim - array.ndim) + array.shape
    if array.ndim > x.ndim or any(p not in (1, n) for p, n in zip(shape, x.shape, strict=True)):
        raise ValueError(
            f"{name}: a parameter of shape {array.shape} does not fit x of shape {x.shape}; "
            "give a scalar, or one number for each entry of the last axis of x"
        )
    return array


def positive(name: str, **settings: ArrayLike) -> None:
    """Refuse Python numbers that are not positive, or whose reciprocal is out of the range of the default dtype.

    They are a ValueError; arrays and tracers cannot be checked and pass.
    """
    least = float(jnp.finfo(jnp.result_type(float)).tiny)
    for what, value in settings.items():
        if isinstance(value, numbers.Real) and not least <= value <= 1 / least:
            raise ValueError(
                f"{name}: {what}={value!r}, but the formula needs a positive number; give {what} > 0, from {least:.2g} "
                f"to {1 / least:.2g}"
            )


def not_negative(name: str, **settings: ArrayLike) -> None:
    """A Python number below zero is a ValueError; arrays and tracers cannot be checked and pass."""
    for what, value in settings.items():
        if isinstance(value, numbers.Real) and not value >= 0:
            raise ValueError(f"{name}: {what}={value!r}, but the formula needs no negative number; give {what} >= 0")


def integer(name: str, what: str, value: SupportsIndex) -> int:
    """`value` as an int; what is no integer is a TypeError."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: {what}={value!r} is not an integer; give one that is known when compiling") from None


def axis_of(name: str, x: jax.Array, axis: SupportsIndex) -> int:
    """`axis` counted from the front; one that x does not have is a ValueError."""
    axis = integer(name, "axis", axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"{name}: x of shape {x.shape} has no axis {axis}; give an axis it has")
    return axis % x.ndim
