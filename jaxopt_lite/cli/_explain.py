"""The explain command: a card on standard output and a picture in a file."""

import argparse
from collections.abc import Callable
from pathlib import Path

from jaxopt_lite._names import unknown
from jaxopt_lite.cli import _catalogues
from jaxopt_lite.cli._main import Usage


def explain(options: argparse.Namespace) -> int:
    """Show one name, or draw the gallery."""
    if options.all:
        if options.name:
            raise Usage(f"explain takes a name or --all, not both ({options.name})")
        from jaxopt_lite.report._activation_cards import activation_gallery

        page = activation_gallery(Path(options.out or "activations"))
        print(f"gallery  {page}")
        return 0
    name = options.name
    if name is None:
        raise Usage("explain needs a name (see list activations and list optimizers), or --all")
    kinds = [kind for kind in ("activations", "optimizers") if name in _catalogues.rows(kind)]
    if not kinds:
        known = [*_catalogues.rows("activations"), *_catalogues.rows("optimizers")]
        raise Usage(unknown("activation or optimizer", name, known))
    path = Path(options.out or f"{name}.png")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise Usage(f"--out {path}: a picture's name ends in .png, .svg or .pdf")
    card, picture = _drawer(kinds[0])
    print(card(name))
    print(f"picture  {picture(name, path)}")
    return 0


def _drawer(kind: str) -> tuple[Callable[[str], str], Callable[[str, Path], Path]]:
    if kind == "activations":
        from jaxopt_lite.report._activation_cards import activation_card, activation_picture

        return activation_card, activation_picture
    from jaxopt_lite.report._optimizer_cards import optimizer_card, optimizer_picture

    return optimizer_card, optimizer_picture
