"""What to write here for a name of optax, found without importing optax."""

import ast
import importlib.util
from functools import cache
from pathlib import Path

from jaxopt_lite._optax_names import replacement


def hint(name: str) -> str | None:
    """How to use optax's `name` here, or None if optax has no optimizer or wrapper of that name."""
    if (text := replacement(name)) is not None:
        return text
    if name in _optimizers():
        return f"it is in optax, not here; in Python, optimizers.lift(optax.{name})(learning_rate) makes it usable"
    return None


@cache
def _optimizers() -> frozenset[str]:
    """The optimizers that optax exports."""
    spec = importlib.util.find_spec("optax")
    if spec is None or spec.origin is None:
        return frozenset()
    nodes = ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    imports = [n for n in nodes if isinstance(n, ast.ImportFrom) and (n.module or "").endswith(".alias")]
    return frozenset(alias.name for node in imports for alias in node.names if alias.name.islower())
