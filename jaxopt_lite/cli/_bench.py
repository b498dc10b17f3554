"""The bench command: measured figures as a page of Markdown or as JSON."""

import argparse
import json
import sys
from typing import Any

from jaxopt_lite._names import unknown
from jaxopt_lite.cli import _catalogues
from jaxopt_lite.cli._settings import names
from jaxopt_lite.cli._usage import Usage, check_output


def bench(options: argparse.Namespace) -> int:
    """Run one benchmark and print its page.

    Raises:
        Usage: an option out of range, or an unknown activation or section.
    """
    arguments: dict[str, Any] = {}
    if getattr(options, "exhaustive", False):
        arguments["exhaustive"] = True
    if getattr(options, "stride", None) is not None:
        if options.stride < 1:
            raise Usage(f"--stride {options.stride}: give 1 or more; 1 takes every float32 input")
        arguments["stride"] = options.stride
    if getattr(options, "small", False):
        arguments["small"] = True
    out = check_output("--out", options.out) if options.out else None
    chosen = names(options.only, "--only") if getattr(options, "only", None) else None
    if chosen and options.kind == "activations":
        _catalogues.check("activations", chosen)
    from jaxopt_lite import bench as benches

    if chosen:
        sections = {"optimizers": tuple(benches.OPTIMIZER_SECTIONS), "device": benches.DEVICE_SECTIONS}
        for name in chosen if options.kind in sections else ():
            if name not in sections[options.kind]:
                raise Usage(unknown("section", name, sections[options.kind]))
        arguments["only"] = chosen
    figures = getattr(benches, options.kind)(progress=_print_progress, **arguments)
    page = getattr(benches, f"render_{options.kind}")(figures)
    print(json.dumps(figures) if options.json else page)
    if out is not None:
        out.write_text(page, encoding="utf-8")
    return 0


def _print_progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
