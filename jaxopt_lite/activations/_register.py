"""Add a function to the catalogue."""

from collections.abc import Callable
from typing import Any

import jax

from jaxopt_lite.activations._catalogue import BUILT_IN, CATALOGUE, Activation
from jaxopt_lite.activations._facts import measure

KINDS = ("elementwise", "gated", "axis")


def register(
    function: Callable[..., jax.Array],
    *,
    formula: str,
    use: str,
    weakness: str,
    reference: str,
    name: str | None = None,
    kind: str = "elementwise",
    settings: dict[str, Any] | None = None,
    initial: dict[str, Any] | None = None,
    **claims: Any,
) -> Callable[..., jax.Array]:
    """Add an activation to `CATALOGUE`: to `jaxopt-lite list`, `explain`, the sweeps by name, and `check`.

    Range, mean, monotonicity, smoothness, saturation, kinks and gain are measured, unless they are given.

    Args:
        function: a function of (x, **settings), with x a real array of any shape.
        formula: what it computes, in one line.
        use: what it is good for.
        weakness: what it is bad at.
        reference: authors and year.
        name: its name in the catalogue. Default: `function.__name__`.
        kind: "elementwise"; "gated" for a function of two halves of an axis; "axis" for one that mixes the entries
            of an axis.
        settings: values of arguments that have no default. Default: none.
        initial: starting values of the arguments that a layer learns, by name. Default: none.
        **claims: other fields of `Activation`, in place of the measured ones, such as `kinks=(0.0,)` where the
            measured position is not exact, or `range=(0.0, 1.0)` where an end is approached slowly.

    Returns:
        `function`, so that the call can be used as an expression.

    Raises:
        ValueError: if the name is built in, or that of another function, a text is empty, or the kind is unknown.
        TypeError: if the catalogue has no such field, the function has no name, or it does not map an array to an
            array.

    Example:
        >>> import jax.numpy as jnp
        >>> def bent(x):
        ...     return x + jnp.maximum(x, 0.0)
        >>> _ = register(
        ...     bent, formula="x + max(x, 0)", use="Examples.", weakness="None is known.", reference="Nobody, 2025"
        ... )
        >>> CATALOGUE["bent"].kinks
        (0.0,)
    """
    name = name or getattr(function, "__name__", None)
    if not name:
        raise TypeError(f"register: {function!r} has no name; give name=")
    known = CATALOGUE.get(name)
    if known is not None and (name in BUILT_IN or _identity(known.function) != _identity(function)):
        raise ValueError(f"register: {name!r} is the name of {known.function!r}; give another name")
    texts = {"formula": formula, "use": use, "weakness": weakness, "reference": reference}
    empty = [field for field, text in texts.items() if not text.strip()]
    if empty:
        raise ValueError(f"register: {name}: {' and '.join(empty)} is empty; give one line of text")
    if kind not in KINDS:
        raise ValueError(f"register: {name}: kind={kind!r}; give one of {', '.join(KINDS)}")
    unknown = sorted(claims.keys() - set(Activation._fields))
    if unknown:
        raise TypeError(
            f"register: {name}: no field {', '.join(unknown)}; the fields are {', '.join(Activation._fields)}"
        )
    row = unmeasured(function, kind, {**texts, "settings": settings or {}, "initial": initial or {}})
    try:
        facts = measure(row)._asdict()
    except Exception as error:
        raise TypeError(
            f"register: {name} does not map an array to an array: {type(error).__name__}: {error}"
        ) from error
    CATALOGUE[name] = row._replace(**{**facts, **claims})
    return function


def unmeasured(function: Callable[..., jax.Array], kind: str, fields: dict[str, Any]) -> Activation:
    """A row whose measured fields are still blank."""
    blank: dict[str, Any] = {"range": (0.0, 0.0), "zero_centred": False, "monotone": False, "smooth": False}
    return Activation(function, kind=kind, saturates=(), kinks=(), gain=1.0, keeps="input", **blank, **fields)


def _identity(function: Callable[..., Any]) -> Any:
    """Module and name, which stay the same when a module is imported again; without a name, the function itself."""
    return (function.__module__, function.__qualname__) if hasattr(function, "__qualname__") else function
