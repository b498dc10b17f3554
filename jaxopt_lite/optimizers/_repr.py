"""How transforms print: as the call that builds them, without the arguments that have their default."""

import importlib
import inspect
from typing import Any

import numpy as np

from jaxopt_lite.optimizers._structure import same, thaw


def shown(fixed: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """The arguments among the static structure; a name that begins with an underscore is none."""
    return {name: thaw(value) for name, value in fixed if not name.startswith("_")}


def written(tx: Any) -> str:
    """The call that builds a transform.

    Args:
        tx: a transform.

    Returns:
        Python code. Arguments with the default of the function of that name are omitted; a rule that is neither in
        this package nor registered shows all.
    """
    init = tx.init
    if hasattr(init.rule, "written"):
        return init.rule.written(init)
    given = [repr(part) for part in init.parts.values()]
    defaults = _defaults(init.rule.name)
    given += [
        f"{name}={_short(value)}"
        for name, value in (dict(init.data) | shown(init.fixed)).items()
        if not same(value, defaults.get(name, inspect.Parameter.empty))
    ]
    return f"{init.rule.name}({', '.join(given)})"


def _defaults(name: str) -> dict[str, Any]:
    optimizers = importlib.import_module("jaxopt_lite.optimizers")
    function = vars(optimizers).get(name) or optimizers.CATALOGUE.functions.get(name)
    return {} if function is None else {p.name: p.default for p in inspect.signature(function).parameters.values()}


def _short(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    return getattr(value, "__name__", None) or repr(value)
