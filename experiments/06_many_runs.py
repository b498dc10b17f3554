"""06: does a sweep of 100,000 runs fit in memory and on disk, and do its results open quickly?

The predictions, the command and the result are in `experiments/06-many-runs.md`, which this script writes:

    python experiments/06_many_runs.py
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pages

from jaxopt_lite import report, sweeps, training

STEPS = 5


class Found(NamedTuple):
    """What one sweep took.

    Attributes:
        runs: number of runs.
        memory: growth of the process's resident memory from before the sweep to after it, in bytes per run. A small
            sweep comes before, so that the compiled programs, which do not grow with the runs, are not counted.
        peak: growth of the largest resident memory, in bytes per run.
        ledger: size of the store's file, in bytes per run.
        a_second: runs per second, without compilation.
        load: time until `Results.load` returns in a new process, in seconds of processor time.
        page: time until the report page is written there, in seconds of processor time.
        page_size: size of the page in bytes.
    """

    runs: int
    memory: float
    peak: float
    ledger: float
    a_second: float
    load: float
    page: float
    page_size: int


def step(trial: Any, w: jax.Array, data: Any, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Gradient descent on w²."""
    return w - trial["rate"] * 2 * w, {"loss": w**2}


def resident(field: str = "VmRSS") -> int:
    """Resident memory of this process in bytes, on Linux: now, or with `VmHWM` at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def swept(task: training.Task, runs: int, store: Path) -> sweeps.Results:
    """A sweep of rates drawn at random."""
    space, layout = {"rate": sweeps.uniform(0, 0.9)}, sweeps.Layout(width=64)
    return sweeps.run(task, space, trials=runs, steps=STEPS, store=store, layout=layout, progress=False)


def opened(store: Path) -> tuple[float, float, int]:
    """Processor time to load a store and to write its page, and the size of the page."""
    begin = time.process_time()
    results = sweeps.Results.load(store)
    loaded = time.process_time()
    page = report.page(results, store / "report.html")
    return loaded - begin, time.process_time() - loaded, page.stat().st_size


def measured(runs: int, store: Path) -> Found:
    """One sweep of a task with one number as its state."""
    task = training.Task(
        lambda trial, key: jnp.float32(1), step, lambda trial, w, data: {"test_loss": w**2}, None, name="one number"
    )
    swept(task, min(runs, 1000), store.with_name("small"))
    before = resident()
    results = swept(task, runs, store)
    memory, peak = (resident() - before) / runs, (resident("VmHWM") - before) / runs
    command = [sys.executable, __file__, "--open", str(store)]
    load, page, size = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    ledger = (store / "ledger.sqlite").stat().st_size / runs
    return Found(runs, memory, peak, ledger, runs / results.facts["last"]["run_seconds"], load, page, int(size))


def predictions(found: Found) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    return [
        (
            "A run takes at most 2 kB of memory when the sweep is done.",
            f"{found.memory / 1e3:.1f} kB",
            found.memory <= 2000,
        ),
        (
            "A run takes at most 1 kB in the store: its row, its score, and a curve of 5 points.",
            f"{found.ledger / 1e3:.2f} kB",
            found.ledger <= 1000,
        ),
        ("The results load in at most 5 s of processor time.", f"{found.load:.1f} s", found.load <= 5),
        (
            "The report page has at most 5 MB, whatever the number of runs.",
            f"{found.page_size / 1e6:.1f} MB",
            found.page_size <= 5e6,
        ),
    ]


def page(found: Found) -> str:
    """The page, as Markdown."""
    return "\n".join(
        [
            "# 06: Many runs",
            "",
            f"Does a sweep of {found.runs:,} runs fit in memory and on disk, and do its results open quickly?",
            "",
            f"Each run makes {STEPS} steps of gradient descent on one number, in chunks of 64 runs.",
            "",
            *pages.table(predictions(found)),
            "Memory is counted beyond that of a sweep of 1,000 runs of the same task, which has compiled the programs.",
            "",
            f"{found.a_second:,.0f} runs a second without compilation, store included. The page takes {found.page:.0f} s of "
            "processor time to write.",
            "",
            pages.conditions(__file__, "jax"),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep and write the page.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = pages.parser(__doc__)
    parser.add_argument("--runs", type=int, default=100_000, metavar="N", help="number of runs")
    parser.add_argument("--open", type=Path, metavar="STORE", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.open:
        print(*opened(options.open))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = measured(options.runs, Path(folder) / "store")
    (options.out / "06-many-runs.md").write_text(page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
