"""The explain command: a card on standard output, and with `--out` a picture in a file."""

import argparse
from collections.abc import Callable
from pathlib import Path

from jaxopt_lite._names import nearest
from jaxopt_lite.cli import _catalogues, _files, _optax, _sources
from jaxopt_lite.cli._usage import Usage, check_output

Card = Callable[[str], str]
Picture = Callable[[str, Path], Path]


def explain(options: argparse.Namespace) -> int:
    """Print the card of one name, or write the gallery of all activations.

    Raises:
        Usage: an unknown name, or options that do not fit together.
    """
    if options.all:
        return _gallery(options)
    if options.name is None:
        raise Usage("explain needs a NAME (see jaxopt-lite list activations, list optimizers, ...), or --all")
    card, picture = _card_and_picture(options.name)
    if options.out is None:
        print(card(options.name))
        return 0
    path = check_output("--out", options.out)
    if picture is None:
        raise Usage(f"--out {path}: there are pictures of activations and optimizers only, not of {options.name}")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise Usage(f"--out {path}: the name of a picture ends in .png, .svg or .pdf")
    print(card(options.name))
    try:
        print(f"picture  {picture(options.name, path)}")
    except ModuleNotFoundError as error:
        raise Usage(f"a picture needs {error.name}: pip install 'jaxopt-lite[plot]'") from error
    return 0


def _gallery(options: argparse.Namespace) -> int:
    if options.name:
        raise Usage(f"explain takes a NAME or --all, not both ({options.name})")
    if options.out is None:
        raise Usage("explain --all writes a page with pictures: say in which folder, as --out activations")
    from jaxopt_lite.report import activation_gallery

    try:
        print(f"gallery  {activation_gallery(Path(options.out))}")
    except ModuleNotFoundError as error:
        raise Usage(f"a picture needs {error.name}: pip install 'jaxopt-lite[plot]'") from error
    return 0


def _card_and_picture(name: str) -> tuple[Card, Picture | None]:
    """The functions that print the card of a name and draw its picture."""
    if _files.file_of(name) is not None:
        from jaxopt_lite.cli import _contents

        return _contents.card, None
    if name in _catalogues.rows("activations"):
        from jaxopt_lite.report import activation_card, activation_picture

        return activation_card, activation_picture
    if name in _catalogues.rows("optimizers"):
        from jaxopt_lite.report import optimizer_card, optimizer_picture

        return optimizer_card, optimizer_picture
    if name in _catalogues.rows("tasks"):
        return _catalogues.task_card, None
    if name in _sources.functions():
        return lambda name: _sources.functions()[name].card(), None
    raise Usage(_unknown(name))


def _unknown(name: str) -> str:
    """The message for a name that nothing has: how to use an optimizer of optax, or the nearest name of all kinds."""
    hint = _optax.hint(name)
    known = [*_catalogues.rows("activations"), *_catalogues.rows("optimizers"), *_catalogues.rows("tasks")]
    known += _sources.functions()
    if hint:
        return f"unknown name {name!r}: {hint}"
    similar = nearest(name, known)
    suggestion = f"did you mean {similar!r}? " if similar else ""
    kinds = ", ".join(f"list {kind}" for kind in _catalogues.KINDS)
    return f"unknown name {name!r}: {suggestion}see jaxopt-lite {kinds}"
