"""The report command: the table and the page of a store."""

import argparse
from pathlib import Path

from rich.console import Console

from jaxopt_lite import report as reports
from jaxopt_lite.cli._usage import Usage, check_output
from jaxopt_lite.sweeps import Results, StoreError


def report(options: argparse.Namespace) -> int:
    """Read a store, print its table, write its page.

    Raises:
        Usage: the store cannot be read, a file cannot be written there, or a page needs a package that is not
            installed.
    """
    for flag, path in (("--out", options.out), ("--csv", options.csv)):
        if path:
            check_output(flag, path)
    try:
        results = Results.load(options.store)
    except StoreError as error:
        raise Usage(str(error)) from error
    Console().print(reports.table(results))
    if options.csv:
        print(f"csv    {results.to_csv(options.csv)}")
    try:
        page = reports.page(results, Path(options.out or Path(options.store) / "report.html"))
    except ModuleNotFoundError as error:
        raise Usage(f"a page needs {error.name}: pip install 'jaxopt-lite[plot]'") from error
    print(f"page   {page}")
    return 0
