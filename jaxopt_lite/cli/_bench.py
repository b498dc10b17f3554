"""The bench command: figures as a table, as JSON, as a page."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from jaxopt_lite.cli import _catalogues
from jaxopt_lite.cli._main import Usage
from jaxopt_lite.cli._sweep import names


def bench(options: argparse.Namespace) -> int:
    """Run one benchmark and print its page."""
    arguments: dict[str, Any] = {}
    if getattr(options, "only", None):
        arguments["only"] = names(options.only, "--only")
        if options.kind == "activations":  # that of optimizers has sections, and knows their names itself
            _catalogues.check(options.kind, arguments["only"])
    if getattr(options, "exhaustive", False):
        arguments["exhaustive"] = True
    if getattr(options, "stride", None) is not None:
        if options.stride < 1:
            raise Usage(f"--stride {options.stride}: give 1 or more; 1 takes every float32 input")
        arguments["stride"] = options.stride
    from jaxopt_lite import bench as benches

    figures = getattr(benches, options.kind)(progress=_say, **arguments)
    page = getattr(benches, f"render_{options.kind}")(figures)
    print(json.dumps(figures) if options.json else page)
    if options.out:
        Path(options.out).write_text(page, encoding="utf-8")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
