"""The explain command: a card on standard output and a picture in a file."""

import argparse
from pathlib import Path

from jaxopt_lite._names import unknown
from jaxopt_lite.cli import _catalogues
from jaxopt_lite.cli._main import Usage


def explain(options: argparse.Namespace) -> int:
    """Show one name, or draw the gallery."""
    from jaxopt_lite import report

    if options.all:
        if options.name:
            raise Usage(f"explain takes a name or --all, not both ({options.name})")
        page = report.activation_gallery(Path(options.out or "activations"))
        print(f"gallery  {page}")
        return 0
    name = options.name
    if name is None:
        raise Usage("explain needs a name (see list activations and list optimizers), or --all")
    kinds = [kind for kind in ("activations", "optimizers") if name in _catalogues.rows(kind)]
    if not kinds:
        known = [*_catalogues.rows("activations"), *_catalogues.rows("optimizers")]
        raise Usage(unknown("activation or optimizer", name, known))
    activation = kinds[0] == "activations"
    print(report.activation_card(name) if activation else report.optimizer_card(name))
    path = Path(options.out or f"{name}.png")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise Usage(f"--out {path}: a picture's name ends in .png, .svg or .pdf")
    print(f"picture  {(report.activation_picture if activation else report.optimizer_picture)(name, path)}")
    return 0
