"""Build the documentation site: `python docs/site/build.py`, then open `build/site/docs/index.html`.

The pages of `docs/` and `experiments/` are copied to `build/site-source`, together with pages that are made from the
package: the reference from its docstrings and the galleries from its catalogues. Sphinx makes the site from the copy,
with warnings as errors.
"""

import importlib
import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
PACKAGES = (
    *("activations", "activations.initializers"),
    *("optimizers", "optimizers.rules", "optimizers.schedules", "optimizers.wrappers", "optimizers.rows"),
    *("flax", "flax.linen", "diagnostics", "training", "sweeps", "report", "bench"),
)
PROJECT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")


def copied() -> None:
    """Copy the pages, keeping their places, so that their links stay right."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conf.py"), SOURCE)
    for name in (*PROJECT_PAGES, "LICENSE"):
        shutil.copy(ROOT / name, SOURCE)
    for folder, kinds in (("docs", {".md", ".png"}), ("experiments", {".md", ".png", ".py"})):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in kinds and "site" not in path.relative_to(ROOT).parts:
                target = SOURCE / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def without_dead_links() -> None:
    """Links to files that are not part of the site, such as modules of the package, become plain text."""
    for page in SOURCE.rglob("*.md"):
        text = page.read_text(encoding="utf-8")

        def kept(match: re.Match[str], page: Path = page) -> str:
            return match[0] if (page.parent / match[2]).is_file() else match[1]

        page.write_text(LINK.sub(kept, text), encoding="utf-8")


def public(module: ModuleType) -> Iterator[tuple[str, str]]:
    """The public names of a package, each with the directive that documents it."""
    for name, value in vars(module).items():
        source = getattr(value, "__module__", None) or ""
        if name.startswith("_") or inspect.ismodule(value) or not source.startswith("jaxopt_lite"):
            continue
        yield name, "autoclass" if inspect.isclass(value) else "autofunction" if callable(value) else ""


def reference() -> None:
    """A page for each package, from its docstrings."""
    folder, documented = SOURCE / "docs" / "api", set[int]()
    folder.mkdir()
    for package in PACKAGES:
        full = f"jaxopt_lite.{package}"
        module = importlib.import_module(full)
        lines = [f"# {full}", "", (module.__doc__ or "").strip().splitlines()[0], "", "```{eval-rst}"]
        for name, directive in sorted(public(module), key=lambda item: item[0].lower()):
            value = getattr(module, name)
            if directive and id(value) not in documented:
                documented.add(id(value))
                lines += [f".. {directive}:: {full}.{name}"]
                lines += ["   :members:", "   :exclude-members: count, index", ""] if directive == "autoclass" else [""]
        (folder / f"{package}.md").write_text("\n".join([*lines, "```", ""]), encoding="utf-8")
    pages = "\n".join(PACKAGES)
    text = f"# Reference\n\nEvery public name of every package.\n\n```{{toctree}}\n:maxdepth: 1\n\n{pages}\n```\n"
    (folder / "index.md").write_text(text, encoding="utf-8")


def galleries() -> None:
    """A picture and the facts of every activation and optimizer."""
    from jaxopt_lite import activations, optimizers, report

    folder = SOURCE / "docs" / "gallery"
    folder.mkdir()
    for title, names, picture, card in (
        ("Activations", activations.CATALOGUE, report.activation_picture, report.activation_card),
        ("Optimizers", optimizers.CATALOGUE, report.optimizer_picture, report.optimizer_card),
    ):
        lines = [f"# {title}", ""]
        for name in names:
            file = picture(name, folder / f"{title.lower()}-{name}.png").name
            facts = "\n".join(card(name).splitlines()[1:])
            lines += [f"## {name}", "", f"![{name}]({file})", "", "```text", facts, "```", ""]
        (folder / f"{title.lower()}.md").write_text("\n".join(lines), encoding="utf-8")


def contents() -> None:
    """Where each page stands in the site's navigation."""
    docs, experiments = SOURCE / "docs", SOURCE / "experiments"
    trees = {
        "Get started": [f"get-started/{name}" for name in ("compose", "sweep", "measure")],
        "How to": sorted(f"how-to/{path.stem}" for path in (docs / "how-to").glob("*.md")),
        "Coming from": sorted(path.stem for path in docs.glob("coming-from-*.md")),
        "Gallery": ["gallery/activations", "gallery/optimizers"],
        "Measured": ["../experiments/README"],
        "Reference": ["api/index"],
        "The project": ["../README", "../CONTRIBUTING", "../CHANGELOG", "design", "style"],
    }
    with (docs / "index.md").open("a", encoding="utf-8") as index:
        for caption, pages in trees.items():
            there = [page for page in pages if (docs / f"{page}.md").exists()]
            index.write("\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *there, "```", ""]))
    pages = sorted(path.stem for path in experiments.glob("*.md") if path.stem != "README")
    textbook = (experiments / "textbook" / "README.md").exists()
    with (experiments / "README.md").open("a", encoding="utf-8") as index:
        listed = ["textbook/README"] * textbook + pages
        index.write("\n".join(["", "```{toctree}", ":hidden:", "", *listed, "```", ""]))
    if textbook:
        with (experiments / "textbook" / "README.md").open("a", encoding="utf-8") as index:
            index.write("\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n")


def main() -> int:
    """Build the site; the exit status is Sphinx's."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from sphinx.cmd.build import main as sphinx

    copied()
    reference()
    galleries()
    without_dead_links()
    contents()
    return sphinx(["-W", "--keep-going", "-q", "-b", "html", str(SOURCE), str(SITE)])


if __name__ == "__main__":
    sys.exit(main())
