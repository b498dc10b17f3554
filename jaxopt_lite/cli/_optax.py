"""What to write here for a name of optax, found without importing optax."""

import ast
import importlib.util
from functools import cache
from pathlib import Path

# Wrappers that have another name or another form here.
_HERE = {
    "multisteps": "optimizers.accumulate",
    "partition": "optimizers.partition_by_path",
    "multi_transform": "optimizers.partition_by_path",
    "inject_hyperparams": "optimizers.with_settings: settings are already part of the state",
    "apply_if_finite": "optimizers.guard",
    "skip_not_finite": "optimizers.guard",
    "ema": "optimizers.average",
}


def hint(name: str) -> str | None:
    """How to use optax's `name` here, or None if optax has no optimizer or wrapper of that name."""
    if name.lower() in _HERE:
        return f"it is in optax; here it is {_HERE[name.lower()]}"
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
