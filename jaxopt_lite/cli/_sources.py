"""Public functions of `optimizers` as their source files describe them, read without importing JAX."""

import ast
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).parents[1]


class Function(NamedTuple):
    """A function of `jaxopt_lite.optimizers`: its signature and docstring as written in the source.

    Attributes:
        kind: `wrappers`, `schedules`, or `functions` for those that are neither and no optimizer.
        call: `optimizers.name(parameters)`, without annotations.
        documentation: the docstring.
    """

    kind: str
    call: str
    documentation: str

    @property
    def title(self) -> str:
        """The first paragraph of the docstring on one line."""
        return " ".join(self.documentation.split("\n\n")[0].split())

    def card(self) -> str:
        """Signature and documentation."""
        call = textwrap.fill(self.call, 80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        return f"{call}\n\n{textwrap.indent(self.documentation, '    ')}"


@cache
def functions() -> dict[str, Function]:
    """The public functions of `optimizers` that are not optimizers, by name."""
    package = _PACKAGE / "optimizers"
    out = {}
    for module, name in _imports(package / "__init__.py"):
        definition = _definition(_PACKAGE.parent / f"{module.replace('.', '/')}.py", name)
        kind = module.split(".")[2] if module.count(".") > 2 else "functions"
        if kind == "wrappers" and not _returns_a_transform(definition):
            kind = "functions"
        if kind in ("wrappers", "schedules", "functions") and definition is not None:
            call = f"optimizers.{name}({ast.unparse(_unannotated(definition.args))})"
            out[name] = Function(kind, call, ast.get_docstring(definition) or "")
    return dict(sorted(out.items()))


def _imports(path: Path) -> Iterator[tuple[str, str]]:
    """Modules and names that a package's `__init__` imports from its own files."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2].startswith("_"):
            yield from ((node.module or "", alias.name) for alias in node.names)


def _definition(path: Path, name: str) -> ast.FunctionDef | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    return None


def _returns_a_transform(definition: ast.FunctionDef | None) -> bool:
    return definition is not None and definition.returns is not None and "Transform" in ast.unparse(definition.returns)


def _unannotated(arguments: ast.arguments) -> ast.arguments:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for argument in every:
        if argument is not None:
            argument.annotation = None
    return arguments
