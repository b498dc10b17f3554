"""Pytrees of arrays as short text."""

from typing import Any

import jax

_MOST = 300  # characters


def shown(tree: Any) -> str:
    """A pytree with its arrays as dtype and shape."""
    text = str(jax.tree.map(lambda x: _Text(f"{x.dtype}{list(x.shape)}") if hasattr(x, "dtype") else x, tree))
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


class _Text(str):
    """A text without quotes in a printed tree."""

    __repr__ = str.__str__
