"""10: does a sweep in several processes, or on a Ray cluster, give the same numbers, survive kills, and gain speed?

The predictions, the command and the result are in `experiments/10-workers.md`, which this script writes:

    python experiments/10_workers.py
"""

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pages

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.sweeps.execution import _pool, _schedule
from jaxopt_lite.sweeps.execution._work import Answer, Failed, Work
from jaxopt_lite.sweeps.programs._group import Member
from jaxopt_lite.sweeps.store._database import Row
from jaxopt_lite.sweeps.store._ledger import Ledger


class Size(NamedTuple):
    """How much is run.

    Attributes:
        rates: learning rates of the sweep that is compared.
        steps: steps of its runs.
        kills: of workers.
        restarts: kills of the process that writes the ledger.
        every: seconds between two of these, on average.
        long: steps of a run of the sweep whose speed is measured; it has 32 runs.
        reports: chunks that simulated workers report.
        rounds: how often the speeds are measured.
    """

    rates: int = 8
    steps: int = 500
    kills: int = 20
    restarts: int = 5
    every: float = 4.0
    long: int = 1500
    reports: int = 3000
    rounds: int = 3


SMALL = Size(rates=2, steps=60, kills=2, restarts=1, every=3.0, long=100, reports=60, rounds=1)


class Killed(NamedTuple):
    """A sweep whose processes were killed.

    Attributes:
        same: whether its numbers are those of the undisturbed sweep.
        workers: how many workers were killed.
        restarts: how often the process that writes the ledger was killed.
        hung: how many workers were stopped, so that they answered no more.
        repeated: training steps that were made again, summed over runs.
        segments: how many segments of the largest size that is.
    """

    same: bool
    workers: int
    restarts: int
    hung: int
    repeated: int
    segments: float


class Found(NamedTuple):
    """What was measured.

    Attributes:
        runs: runs of the sweep that is compared.
        equal: by way, how many of them have the same numbers and decisions as in one process.
        killed: the sweep whose processes were killed.
        speed: by way, training steps a second of two workers, divided by those of one.
        start: by way, seconds until two workers have made their first segments.
        chunk: processor time of the process that writes the ledger, in seconds for a chunk.
        reported: chunks a second that were written when 50 workers reported 30 a second.
    """

    runs: int
    equal: dict[str, int]
    killed: Killed
    speed: dict[str, float]
    start: dict[str, float]
    chunk: float
    reported: float


def compared(size: Size, **options: Any) -> sweeps.Results:
    """The sweep whose numbers are compared: the command's default one, with halving."""
    rate = sweeps.values([float(f"{rate:.6g}") for rate in np.geomspace(1e-4, 1, size.rates)])
    space = {
        "activation": sweeps.choice([act.sigmoid, act.tanh, act.relu, act.leaky_relu]),
        "optimizer": sweeps.choice(
            [opt.sgd(rate), opt.sgd(rate, momentum=0.9), opt.adagrad(rate), opt.rmsprop(rate), opt.adam(rate)]
        ),
    }
    rule = sweeps.halving(eta=3, first=1 / 9, race=True)
    return sweeps.run(
        training.builtin("digits"), space, seeds=3, steps=size.steps, stop=rule, progress=False, **options
    )


def numbers(results: sweeps.Results) -> list[Any]:
    """All that a run consists of: settings, status, steps, scores, scores at the rungs, and curves to the last bit."""
    return [
        (tuple(map(repr, row.values())), repr(rungs), {name: curve.tobytes() for name, curve in curves.items()})
        for row, rungs, curves in zip(results.rows(), results.rungs or [], results.curves, strict=True)
    ]


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """The address of a Ray cluster of some nodes with one core each, all on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    memory = {"num_cpus": 1, "object_store_memory": 200_000_000}
    made = Cluster(initialize_head=True, head_node_args=memory)
    for _ in range(nodes - 1):
        made.add_node(**memory)
    try:
        yield made.address
    finally:
        ray.shutdown()
        made.shutdown()


def equal_runs(size: Size) -> tuple[int, dict[str, int]]:
    """How many runs there are, and how many of them are the same in two processes and on two nodes."""
    here = numbers(compared(size))
    found = {}
    with cluster(2) as address:
        for name, on in (("2 processes", sweeps.processes(2)), ("Ray, 2 nodes", sweeps.ray(address))):
            there = numbers(compared(size, on=on))
            found[name] = sum(a == b for a, b in zip(here, there, strict=True))
    return len(here), found


def driver(store: Path, log: Path, size: Size) -> None:
    """Make or resume the sweep in a store with two workers, and log each segment that a worker begins."""
    do = _pool.Pool._do

    def logged(self: Any, worker: Any, item: Any) -> None:
        first, last = item.work.span[:2]
        with log.open("a") as file:
            file.write(f"{item.work.runs * (last - first)}\n")
        do(self, worker, item)

    _pool.Pool._do = logged  # type: ignore[method-assign]
    exists = (store / "ledger.sqlite").exists()
    compared(size, store=store, resume=exists, on=sweeps.processes(2, patience=10))


def children(process: int) -> list[int]:
    """The processes that the threads of a process have started, on Linux."""
    files = Path(f"/proc/{process}/task").glob("*/children")
    return [int(word) for file in files for word in file.read_text().split()]


def killed(size: Size, folder: Path) -> Killed:
    """Kill workers and the process that writes the ledger at random moments, and stop one worker."""
    store, log, chance = folder / "store", folder / "log", random.Random(0)
    left = ["worker"] * size.kills + ["driver"] * size.restarts + ["hang"]
    chance.shuffle(left)
    done = dict.fromkeys(("worker", "driver", "hang"), 0)
    command = [sys.executable, __file__, "--drive", str(store), "--log", str(log), *(["--small"] * (size == SMALL))]
    process = subprocess.Popen(command)
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.expovariate(1 / size.every))
            break
        workers = children(process.pid)
        what = left[-1] if left else None
        if what == "driver":
            process.kill()
            process.wait()
            process = subprocess.Popen(command)
        elif what in ("worker", "hang") and workers:
            os.kill(chance.choice(workers), signal.SIGKILL if what == "worker" else signal.SIGSTOP)
        else:
            continue
        done[left.pop()] += 1
    assert process.returncode == 0
    found = sweeps.Results.load(store)
    attempts = list(map(int, log.read_text().split()))
    repeated = sum(attempts) - sum(found.columns["step"])
    same = numbers(found) == numbers(compared(size))
    return Killed(same, done["worker"], done["driver"], done["hang"], repeated, repeated / max(attempts))


def wide(size: Size, report: Any, on: Any) -> None:
    """A sweep with segments of several seconds: 32 runs of a perceptron of 256 units."""
    task = training.supervised(network, training.builtin("digits").data, batch_size=64, name="wide")
    space = {"optimizer": opt.sgd(sweeps.values([float(x) for x in np.geomspace(1e-4, 1e-1, 32)]))}
    sweeps.run(task, space, steps=size.long, on=on, progress=report)


def network(trial: Any, rngs: Any) -> Any:
    """A perceptron of two hidden layers of 256 units."""
    from jaxopt_lite.flax import MLP

    return MLP((64, 256, 256, 10), act.relu, rngs=rngs)


def pace(size: Size, on: Any) -> tuple[float, float]:
    """Share of the sweep that is made in a second once every worker has begun, and the seconds until then."""
    begin, marks = time.perf_counter(), []

    def report(progress: sweeps.Progress) -> None:
        if progress.phase == "run":
            marks.append((time.perf_counter(), progress.compute))

    wide(size, report, on)
    worked = [mark for mark in marks if mark[1] > 0]
    # the first few segments end while the others are being compiled, the last few while workers have nothing left
    first, last = worked[len(worked) // 4], worked[-len(worked) // 8 - 1]
    return (last[1] - first[1]) / (last[0] - first[0]), worked[0][0] - begin


def speeds(size: Size) -> tuple[dict[str, float], dict[str, float]]:
    """By way, the speed of two workers divided by that of one, and seconds until the first segment.

    Both are the medians of the rounds.
    """
    found: dict[str, list[float]] = {}
    start: dict[str, list[float]] = {}
    with cluster(2) as address:
        ways = {
            "processes": (sweeps.processes(1), sweeps.processes(2)),
            "Ray": (sweeps.ray(address, workers=1), sweeps.ray(address, workers=2)),
        }
        for name, (one, two) in list(ways.items()) * size.rounds:
            alone, _ = pace(size, one)
            together, begun = pace(size, two)
            found.setdefault(name, []).append(together / alone)
            start.setdefault(name, []).append(begun)
    print("speed of two workers:", found, file=sys.stderr)
    medians = ({name: statistics.median(values) for name, values in each.items()} for each in (found, start))
    return next(medians), next(medians)


class Simulated:
    """A worker that reports the same answer after some time."""

    def __init__(self, seconds: float, width: int, shape: tuple[int, ...]) -> None:
        self._seconds, self._width, self._shape = seconds, width, shape

    def perform(self, work: Work) -> Answer | Failed:
        time.sleep(self._seconds)
        points = {"loss": np.zeros((self._width, 100), np.float32)}
        scores = {"test_loss": np.arange(self._width, dtype=float)} if work.score else {}
        carry = [np.zeros((self._width, *self._shape), np.float32)]
        return Answer(points, scores, carry, 1e-3, 0.0, [{} for _ in range(work.runs)], None)

    def close(self) -> None:
        """Nothing to end."""


def reported(size: Size, folder: Path, workers: int, a_second: float) -> tuple[float, float]:
    """Chunks a second that the ledger takes from simulated workers, and processor time for each.

    A chunk has two runs of 9,354 numbers each, as those of the default sweep.
    """
    width, shape, segments = 2, (9354,), 3
    runs = width * size.reports // segments
    rows = [Row(i, {}, i, "waiting", 0) for i in range(runs)]
    ledger = Ledger.create(folder / "simulated", {"objective": "test_loss", "steps": 300}, rows)
    seconds = workers / a_second if a_second else 0.0
    pool = _pool.Pool([lambda _: Simulated(seconds, width, shape)] * workers)
    scheduler = _schedule.Scheduler(pool, {0: width}, 300, "test_loss", ledger)
    runners = [_schedule.Runner(i, i, Member((), ())) for i in range(runs)]
    jobs = [_schedule.Job(0, tuple(runners[i : i + width]), 0, 300, None) for i in range(0, runs, width)]
    ends, _schedule.segment_end = _schedule.segment_end, lambda step, end, length, stride: step + 300 // segments
    begin, cpu = time.perf_counter(), time.process_time()
    try:
        scheduler.run(jobs, lambda *_: None)
    finally:
        _schedule.segment_end = ends
        pool.close()
        ledger.close()
    chunks = len(jobs) * segments
    return chunks / (time.perf_counter() - begin), (time.process_time() - cpu) / chunks


def measured(size: Size) -> Found:
    """Everything."""
    with tempfile.TemporaryDirectory() as folder:
        rate, _ = reported(size, Path(folder) / "fast", 50, 30.0)
        _, chunk = reported(size, Path(folder) / "busy", 2, 0.0)
        ended = killed(size, Path(folder))
    runs, equal = equal_runs(size)
    speed, start = speeds(size)
    return Found(runs, equal, ended, speed, start, chunk, rate)


def predictions(found: Found) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    k = found.killed
    return [
        (
            "Every run and decision of the default sweep with halving is the same, to the last bit, in this process, in "
            "2 processes and on 2 nodes: they run the same programs in chunks of the same width.",
            ", ".join(f"{name}: {n} of {found.runs}" for name, n in found.equal.items()),
            all(n == found.runs for n in found.equal.values()),
        ),
        (
            "After 20 kills of workers, 5 of the process that writes the ledger and one worker that hangs, all runs are "
            "there, once, with the same numbers.",
            f"{k.workers} workers, {k.restarts} restarts, {k.hung} hung: {'the same' if k.same else 'other numbers'}",
            k.same,
        ),
        (
            "A kill costs at most one segment for each worker that it stops: all 26 together at most 31.",
            f"{k.repeated:,} steps of runs again, {k.segments:.1f} of the largest segments",
            k.segments <= k.workers + k.hung + 2 * k.restarts,
        ),
        (
            "Two processes are at least 1.8 times as fast as one, where segments take seconds.",
            f"{found.speed['processes']:.2f}",
            found.speed["processes"] >= 1.8,
        ),
        (
            "Two workers of a Ray cluster are at least 1.7 times as fast as one.",
            f"{found.speed['Ray']:.2f}",
            found.speed["Ray"] >= 1.7,
        ),
        (
            "A chunk costs the process that writes the ledger at most 5 ms.",
            f"{1e3 * found.chunk:.1f} ms of processor time",
            found.chunk <= 5e-3,
        ),
        (
            "When 50 workers report 30 chunks a second in all, they are written as fast as that.",
            f"{found.reported:.1f} a second",
            found.reported >= 28.5,
        ),
    ]


def page(found: Found) -> str:
    """The page, as Markdown."""
    starts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in found.start.items())
    return "\n".join(
        [
            "# 10: Workers",
            "",
            "Does a sweep in several processes, or on a Ray cluster, give the same numbers, survive kills, and gain "
            "speed?",
            "",
            "The sweep that is compared is the command's default one with `halving(race=True)`. The nodes of the cluster "
            "are simulated on this machine, one core each. Speed is that of a sweep of 32 runs of a perceptron of two "
            "layers of 256 units, from the first quarter of its segments to the last eighth, the median of "
            f"{Size().rounds} rounds. The cost of a chunk and "
            "the rate of reports are measured with workers that only sleep, and chunks of two runs of 9,354 numbers.",
            "",
            *pages.table(predictions(found)),
            f"From the call to the first segment of two workers: {starts}. Each worker starts Python and JAX and compiles "
            "the programs.",
            "",
            pages.conditions(__file__, "jax", "ray"),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = pages.parser(__doc__, small=True)
    parser.add_argument("--drive", type=Path, metavar="STORE", help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    size = SMALL if options.small else Size()
    if options.drive:
        driver(options.drive, options.log, size)
        return 0
    (options.out / "10-workers.md").write_text(page(measured(size)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
