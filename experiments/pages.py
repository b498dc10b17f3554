"""What the numbered experiments and their pages have in common."""

import argparse
import os
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent


def table(predictions: Iterable[tuple[str, str, bool]]) -> list[str]:
    """Predictions, what was found, and whether they held, as lines of Markdown with a heading."""
    return [
        "## Prediction and result",
        "",
        "| prediction | found | held |",
        "|---|---|---|",
        *(f"| {text} | {found} | {'yes' if held else '**no**'} |" for text, found, held in predictions),
        "",
    ]


def conditions(script: str, *packages: str, more: str = "") -> str:
    """The last line of a page: where it was measured, with which versions, and by which command.

    Args:
        script: path of the script.
        packages: the distributions whose versions are given.
        more: further conditions, as ", seed 0".
    """
    import jax  # here, since an experiment times how long it takes to import it

    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    where = f"{jax.devices()[0].platform}, {os.cpu_count()} cores, {versions}{more}"
    return f"{where}. Command: `python experiments/{Path(script).name}`."


def parser(doc: str | None, small: bool = False) -> argparse.ArgumentParser:
    """A parser with `--out`, and with `--small` where a script has tiny sizes.

    Args:
        doc: the description, the docstring of the script.
        small: whether it has `--small`.
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where the page goes")
    if small:
        made.add_argument(
            "--small", action="store_true", help="tiny sizes, to try the script; the figures mean nothing"
        )
    return made
