"""12: how long does a new process take to the first result of a sweep, with and without a cache of programs?

The predictions, the command and the result are in `experiments/12-first-result.md`, which this script writes:

    python experiments/12_first_result.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pages

CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
}
STEPS = 100


class Case(NamedTuple):
    """How a process runs the sweep.

    Attributes:
        title: for the table.
        cached: whether the cache of programs has been filled by an earlier process.
        threads: number of threads that compile; None for one per core.
        accelerator: whether the sweep is laid out as for an accelerator, on 8 simulated devices.
    """

    title: str
    cached: bool
    threads: int | None = None
    accelerator: bool = False


CASES = {
    "cold": Case("nothing compiled before", False),
    "one thread": Case("nothing compiled before, one thread compiles", False, threads=1),
    "warm": Case("compiled by an earlier process", True),
    "accelerator cold": Case("accelerator layout, 8 simulated devices, nothing compiled before", False, None, True),
    "accelerator warm": Case(
        "accelerator layout, 8 simulated devices, compiled by an earlier process", True, None, True
    ),
}


class Found(NamedTuple):
    """Seconds of a process, from its start, until modules are imported and until a run is done; programs, compiled
    and traced in so many seconds; and the time of the processor."""

    imported: float
    first: float
    programs: int
    compile_seconds: float
    cpu: float


def child(case: Case, began: float) -> Found:
    """Runs the sweep in this process until the first run is done."""
    import jax

    from jaxopt_lite import activations as act
    from jaxopt_lite import optimizers as opt
    from jaxopt_lite import sweeps, training

    imported = time.time() - began
    if case.threads is not None:
        os.cpu_count = lambda: case.threads
    names = "relu", "tanh", "gelu", "silu"
    rules = "sgd", "momentum", "rmsprop", "adam", "lion"
    space = {
        "activation": sweeps.choice([act.CATALOGUE[name].function for name in names]),
        "optimizer": sweeps.choice([opt.CATALOGUE[name].function(sweeps.values([0.001, 0.01])) for name in rules]),
    }
    first: list[float] = []

    def see(progress: sweeps.Progress) -> None:
        if progress.phase == "run" and progress.trials_done and not first:
            first.append(time.time() - began)

    layout = sweeps.Layout(backend="accelerator") if case.accelerator else None
    results = sweeps.run(training.builtin("digits"), space, steps=STEPS, layout=layout, progress=see)
    facts = results.facts["last"]
    assert len(jax.devices()) == (8 if case.accelerator else 1)
    return Found(imported, first[0], facts["compiled"], facts["compile_seconds"], time.process_time())


def measured(name: str, folder: Path) -> Found:
    """The figures of a case, of a process of its own."""
    case = CASES[name]
    devices = 8 if case.accelerator else 1
    flags = f"--xla_force_host_platform_device_count={devices} --xla_cpu_multi_thread_eigen=false"
    environment = os.environ | CACHE | {"JAX_COMPILATION_CACHE_DIR": str(folder), "XLA_FLAGS": flags}
    command = [sys.executable, __file__, "--child", name, "--began", str(time.time())]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return Found(*json.loads(done.stdout.splitlines()[-1]))


def everything(repeats: int) -> dict[str, list[Found]]:
    """The figures of all cases, `repeats` times in turns. Each case that is not cached has an empty folder."""
    found: dict[str, list[Found]] = {name: [] for name in CASES}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as scratch:
            for name, case in CASES.items():
                full = "accelerator cold" if case.accelerator else "cold"
                found[name].append(measured(name, Path(scratch) / (full if case.cached else name)))
    return found


def median(found: Sequence[Found], field: str) -> float:
    """The median of a figure over the repeats."""
    return sorted(getattr(one, field) for one in found)[len(found) // 2]


def predictions(found: dict[str, list[Found]]) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    first = {name: median(of_case, "first") for name, of_case in found.items()}
    seconds = {name: median(of_case, "compile_seconds") for name, of_case in found.items()}
    threads = seconds["one thread"] / seconds["cold"]
    return [
        (
            "With a full cache the first result is there in at most half of the time.",
            f"{first['warm']:.1f} s instead of {first['cold']:.1f} s",
            first["warm"] <= first["cold"] / 2,
        ),
        (
            "On 2 cores programs are ready at least 1.3 times sooner than with one thread that compiles.",
            f"{threads:.2f} times",
            threads >= 1.3,
        ),
        (
            "In the accelerator's layout the cache is hit on every device too.",
            f"{first['accelerator warm']:.1f} s instead of {first['accelerator cold']:.1f} s",
            first["accelerator warm"] <= first["accelerator cold"] / 2,
        ),
    ]


def page(found: dict[str, list[Found]]) -> str:
    """The page, as Markdown."""
    repeats = len(found["cold"])
    lines = [
        "# 12: Time to the first result",
        "",
        "How long does a new process take to the first result of a sweep, with and without a cache of compiled programs?",
        "",
        f"The digits, 4 activations × 5 optimizers × 2 learning rates, {STEPS} steps, in a process of its own.",
        "",
        *pages.table(predictions(found)),
        f"Seconds since the start of the process, medians of {repeats}; programs are traced and compiled or loaded in the",
        "time of the fourth column.",
        "",
        "| | imports done | first run done | programs ready in | programs | CPU seconds of the process |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        figures = {field: median(found[name], field) for field in Found._fields}
        lines.append(
            f"| {case.title} | {figures['imported']:.1f} | {figures['first']:.1f} | {figures['compile_seconds']:.1f} "
            f"| {figures['programs']:.0f} | {figures['cpu']:.1f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            pages.conditions(__file__, "jax"),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweeps and write the page.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = pages.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="processes of each kind; medians are shown")
    parser.add_argument("--child", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(child(CASES[options.child], options.began)))
        return 0
    found: dict[str, Any] = everything(options.repeats)
    (options.out / "12-first-result.md").write_text(page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
