"""Sphinx configuration of the documentation; `docs/site/build.py` builds it."""

import re
from importlib.metadata import version as installed

project = "jaxopt_lite"
author = "the jaxopt_lite developers"
version = release = installed("jaxopt-lite")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
root_doc = "docs/index"
exclude_patterns = ["experiments/runs/**"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
# files that are not pages, such as scripts, are copied beside the page that links to them
suppress_warnings = ["myst.header"]

autodoc_member_order = "alphabetical"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False

html_theme = "sphinx_book_theme"
html_title = "jaxopt_lite"
html_theme_options = {"show_navbar_depth": 1, "home_page_in_toc": True}
html_show_sourcelink = False
html_copy_source = False


def _as_restructured_text(app, what, name, obj, options, lines):
    """Docstrings are plain text with code in single backticks: mark code as code and escape what has a meaning."""
    out, text, in_example = [], [], False
    for line in [*lines, ""]:
        if line.strip().startswith((">>>", "...")):
            in_example = True
        elif not line.strip():
            in_example = False
        if in_example or line.startswith("        ") or not line.strip():
            out += [*_escaped("\n".join(text)).split("\n"), line] if text else [line]
            text = []
        else:
            text.append(line)
    lines[:] = out


def _escaped(text):
    parts = re.split(r"(``[^`]*``|`[^`]*`)", text)
    for i, part in enumerate(parts):
        if part.startswith("`"):
            follows = parts[i + 1][:1] if i + 1 < len(parts) else ""
            parts[i] = f"``{part.strip('`')}``" + ("\\ " if follows.isalnum() else "")
        else:
            parts[i] = re.sub(r"([|*])|(?<=\w)_(?=\W|$)", lambda m: "\\" + m[0], part)
    return "".join(parts)


def _skipped(app, what, name, obj, skip, options):
    """Fields of records are described in the text of the record."""
    return True if type(obj).__name__ in ("_tuplegetter", "member_descriptor") else None


def setup(app):
    """Connect the functions above to autodoc."""
    app.connect("autodoc-skip-member", _skipped)
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=400)  # before napoleon reads the sections
