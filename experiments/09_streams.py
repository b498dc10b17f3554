"""09: does a sweep train on data four times as large as memory, and what does reading them cost?

The predictions, the command and the result are in `experiments/09-streams.md`, which this script writes:

    python experiments/09_streams.py

It writes 4.3 GB to a temporary folder, on the disk that `TMPDIR` names, and deletes them.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pages
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training

FEATURES, CLASSES, BATCH = 1024, 10, 64  # an example has 4 KiB, a page
LARGE, SMALL, TEST = 1 << 20, 1 << 15, 1 << 10
TRIALS, EPOCHS, ROUNDS = 16, 2, 3
LIMIT = 1 << 30


class Speed(NamedTuple):
    """The same sweep with the examples in memory and on disk.

    Attributes:
        width: runs in a chunk.
        memory: seconds of training, the median of the rounds.
        stream: the same.
        equal: whether all losses and scores are bitwise the same.
    """

    width: int
    memory: float
    stream: float
    equal: bool

    @property
    def share(self) -> float:
        """Speed of the streamed sweep, as a share of that in memory."""
        return self.memory / self.stream


class Large(NamedTuple):
    """What the streamed sweep on the large data took.

    Attributes:
        limit: how memory was limited, in words.
        seconds: of training.
        done: runs that reached their last step.
        data: bytes of the examples.
        read: bytes read from the disk in each epoch.
        anonymous: largest memory of the process without pages of files, in bytes.
        peak: largest memory of the process with the pages of files, as the limit counts it; 0 if there was no limit.
        accuracy: of the best setting on the test part.
    """

    limit: str
    seconds: float
    done: int
    data: int
    read: float
    anonymous: int
    peak: int
    accuracy: float


def write(folder: Path, examples: int) -> None:
    """Noisy patterns of ten classes, in blocks, as files without a header so that each example is a page."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((CLASSES, FEATURES), np.float32) * 0.1
    for name, rows in (("", examples), ("_test", TEST)):
        y = rng.integers(0, CLASSES, rows, dtype=np.int32)
        y.tofile(folder / f"y{name}.bin")
        with (folder / f"x{name}.bin").open("wb") as file:
            for first in range(0, rows, 1 << 14):
                some = patterns[y[first : first + (1 << 14)]]
                file.write((some + rng.standard_normal(some.shape, np.float32)).data)
            file.flush()
            os.fsync(file.fileno())


def part(folder: Path, name: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Memory-mapped x and y."""
    y = np.memmap(folder / f"y{name}.bin", np.int32, "r")
    return np.memmap(folder / f"x{name}.bin", np.float32, "r", shape=(len(y), FEATURES)), y


def build(trial: Any, rngs: nnx.Rngs) -> nnx.Module:
    """A perceptron with one hidden layer."""
    first, last = nnx.Linear(FEATURES, 64, rngs=rngs), nnx.Linear(64, CLASSES, rngs=rngs)
    return nnx.Sequential(first, act.relu, last)


def swept(task: training.Task, width: int, steps: int, progress: Any = False) -> sweeps.Results:
    """Sixteen learning rates of Adam with one seed."""
    space = {"optimizer": opt.adam(sweeps.values(np.geomspace(1e-5, 1e-2, TRIALS).tolist()))}
    return sweeps.run(task, space, steps=steps, layout=sweeps.Layout(width=width), progress=progress)


def seconds(results: sweeps.Results) -> float:
    """Time of training alone: in memory the training part is scored too, which a streamed task does not do."""
    last = results.facts["last"]
    workers = min(results.facts["workers"], -(-TRIALS // results.facts["widths"][0]))
    return last["run_seconds"] - last["score_seconds"] / workers


def numbers(results: sweeps.Results) -> list[bytes]:
    """Test losses and learning curves, as their bits."""
    losses = [np.float64(loss).tobytes() for loss in results.columns["test_loss"]]
    return losses + [np.asarray(curve["loss"]).tobytes() for curve in results.curves]


def compared(folder: Path, examples: int, width: int) -> Speed:
    """Both sweeps in turn, once to compile and then in rounds, for which the system has the files in its page cache."""
    train, test = part(folder), part(folder, "_test")
    memory = training.supervised(build, ((np.array(train[0]), np.array(train[1])), test), batch_size=BATCH)
    streamed = training.streamed(build, train, batch_size=BATCH, test=test)
    steps, times, equal = EPOCHS * (examples // BATCH), [], True
    for _ in range(1 + ROUNDS):
        results = [swept(task, width, steps) for task in (memory, streamed)]
        times.append([seconds(one) for one in results])
        print(f"chunks of {width}: in memory and streamed", *(f"{t:.2f} s" for t in times[-1]), file=sys.stderr)
        equal &= numbers(results[0]) == numbers(results[1])
    in_memory, from_disk = map(statistics.median, zip(*times[1:], strict=True))
    return Speed(width, in_memory, from_disk, equal)


def drop(folder: Path) -> None:
    """Ask the system to forget the pages of the files."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


@contextmanager
def control_group() -> Iterator[Path | None]:
    """A control group of processes with `LIMIT` bytes of memory, pages of files included; None if there can be none."""
    for root, limit in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        group = Path(root) / f"jaxopt-lite-streams-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(LIMIT))
        except OSError:
            group.rmdir()
            continue
        try:
            yield group
        finally:
            group.rmdir()
        return
    yield None


def limited(folder: Path) -> Large:
    """The streamed sweep in a process of its own, with a limit on its memory where the system lets this script set one.

    Pages of the files that another process has read would not count, so they are dropped before.
    """
    drop(folder)
    with control_group() as group:
        command = [sys.executable, __file__, "--train", str(folder)]
        if group is not None:  # the shell enters the group and becomes the command
            command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *command]
        process = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks = [group / name for name in ("memory.max_usage_in_bytes", "memory.peak")] if group else []
        peak = max((int(path.read_text()) for path in peaks if path.exists()), default=0)
        how = "a control group of 1 GiB, pages of files included" if group else "not at all: no control group allowed"
    return Large(limit=how, peak=peak, **json.loads(process.stdout.splitlines()[-1]))


def trained(folder: Path) -> dict[str, Any]:
    """The streamed sweep, and what it took of this process."""
    train, test = part(folder), part(folder, "_test")
    largest = 0

    def watch(progress: Any) -> None:
        nonlocal largest
        largest = max(largest, status("RssAnon"))

    task = training.streamed(build, train, batch_size=BATCH, test=tuple(map(np.array, test)))
    before = read_bytes()
    results = swept(task, TRIALS, EPOCHS * (len(train[0]) // BATCH), watch)
    return {
        "seconds": seconds(results),
        "done": results.columns["status"].count("done"),
        "data": sum(a.nbytes for a in train),
        "read": (read_bytes() - before) / EPOCHS,
        "anonymous": largest,
        "accuracy": max(results.columns["test_accuracy"]),
    }


def status(field: str) -> int:
    """A field of this process's memory in bytes, on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def read_bytes() -> int:
    """Bytes that this process has had read from disks, on Linux."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))


def predictions(speeds: Sequence[Speed], large: Large) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    rows = [
        (
            f"On data that fit in memory, the streamed sweep in chunks of {one.width} has at least 85 % of the speed of the "
            "sweep in memory.",
            f"{one.share:.1%}",
            one.share >= 0.85,
        )
        for one in speeds
    ]
    return [
        *rows,
        (
            "All losses and scores of these sweeps are bitwise the same, streamed and in memory.",
            "the same" if all(one.equal for one in speeds) else "different",
            all(one.equal for one in speeds),
        ),
        (
            f"The sweep of {TRIALS} trials on the large data ends, in a process limited to 1 GiB of memory.",
            f"{large.done} of {TRIALS} done; limited by {large.limit}",
            large.done == TRIALS and bool(large.peak),
        ),
        (
            "Without the pages of files, that process uses at most 0.8 GB.",
            f"{large.anonymous / 1e9:.2f} GB",
            large.anonymous <= 0.8e9,
        ),
        (
            f"In each epoch the {TRIALS} trials read at most 1.05 times the data from the disk, not {TRIALS} times.",
            f"{large.read / large.data:.2f} times",
            large.read <= 1.05 * large.data,
        ),
    ]


def page(speeds: Sequence[Speed], large: Large, examples: int) -> str:
    """The page, as Markdown."""
    gigabytes, steps = large.data / 1e9, EPOCHS * (examples // BATCH)
    return "\n".join(
        [
            "# 09: Streams",
            "",
            "Does a sweep train on data four times as large as memory, and what does reading them cost?",
            "",
            f"{TRIALS} learning rates of Adam train a perceptron {FEATURES}-64-{CLASSES} with `training.streamed`, batch {BATCH}, "
            f"{EPOCHS} epochs in random order. An example has 4 KiB. The large data are {examples:,} examples, {gigabytes:.1f} GB "
            f"on a disk, in one chunk of {TRIALS} runs; the comparison with `training.supervised` is on {SMALL:,}, in turn in one "
            f"process, medians of {ROUNDS} rounds, without compilation and scoring. The system has the files of the comparison in "
            "its page cache, and nothing of the large data when their sweep begins.",
            "",
            *pages.table(predictions(speeds, large)),
            "| runs in a chunk | chunks at a time | in memory | streamed |",
            "|---|---|---|---|",
            *[
                f"| {one.width} | {min(os.cpu_count() or 1, TRIALS // one.width)} | {one.memory:.1f} s | {one.stream:.1f} s |"
                for one in speeds
            ],
            "",
            f"On the large data {steps:,} steps of {TRIALS} runs took {large.seconds:.0f} s, "
            f"{TRIALS * steps / large.seconds:,.0f} steps of a run per second. The best learning rate reaches a test accuracy of "
            f"{large.accuracy:.3f}. With the pages of files, of which the system keeps as many as there is room for, the process "
            f"used {large.peak / 1e9:.2f} GB.",
            "",
            pages.conditions(__file__, "jax", more=f", {platform.system()}"),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data, run the sweeps and write the page.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0; 1 if the disk has no room.
    """
    parser = pages.parser(__doc__)
    parser.add_argument("--examples", type=int, default=LARGE, metavar="N", help="examples of the large data")
    parser.add_argument("--train", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.train:
        print(json.dumps(trained(options.train)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        needed = 1.1 * 4 * FEATURES * (options.examples + SMALL)
        if shutil.disk_usage(place).free < needed:
            print(f"{place} has no room for {needed / 1e9:.1f} GB; name another place with TMPDIR", file=sys.stderr)
            return 1
        small, large = Path(place) / "small", Path(place) / "large"
        for folder, examples in ((small, SMALL), (large, options.examples)):
            folder.mkdir()
            write(folder, examples)
        speeds = [compared(small, SMALL, width) for width in (TRIALS, TRIALS // 2)]
        found = limited(large)
    (options.out / "09-streams.md").write_text(page(speeds, found, options.examples), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
