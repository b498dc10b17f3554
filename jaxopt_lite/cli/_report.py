"""The report command: the table and the page of a store."""

import argparse
from pathlib import Path

from rich.console import Console

from jaxopt_lite import report as reports
from jaxopt_lite.sweeps import Results


def report(options: argparse.Namespace) -> int:
    """Read a store, print its table, write its page."""
    results = Results.load(options.store)
    Console().print(reports.table(results))
    if options.csv:
        print(f"csv    {results.to_csv(options.csv)}")
    print(f"page   {reports.page(results, Path(options.out or Path(options.store) / 'report.html'))}")
    return 0
