"""11: does a sweep whose evaluation takes ten times as long as the steps before it waste time on evaluations?

The predictions, the command and the result are in `experiments/11-long-evaluation.md`, which this script writes:

    python experiments/11_long_evaluation.py
"""

import os
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pages

from jaxopt_lite import sweeps, training

STEPS, RUNGS = 540, (60, 180, 540)
RULE = sweeps.halving(eta=3, first=1 / 9)
UNITS = 128


class Size(NamedTuple):
    """How much is run: settings, and rounds of timings."""

    settings: int = 54
    rounds: int = 3


class Found(NamedTuple):
    """What was measured, in seconds.

    Attributes:
        ratio: time of the sweep, divided by the sum of its steps and of the evaluations that a rule used; median.
        ratios: of each round.
        evaluation: time of one evaluation of a chunk, divided by that of the steps up to the first rung.
        used: evaluations of runs that the rule used.
    """

    ratio: float
    ratios: list[float]
    evaluation: float
    used: int


def step(trial: Any, w: jax.Array, data: Any, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """One step: a product of matrices, and a move towards the target of the setting."""
    w = jnp.tanh(data @ w) * trial["rate"] + w * (1 - trial["rate"])
    return w, {"loss": jnp.mean(w**2)}


def task(evaluated: int) -> training.Task:
    """The task whose evaluation costs as much as some steps."""

    def evaluate(trial: Any, w: jax.Array, data: Any) -> dict[str, jax.Array]:
        far = jax.lax.fori_loop(0, evaluated, lambda _, w: step(trial, w, data, None)[0], w)
        return {"test_loss": jnp.mean(w**2) + 0 * jnp.mean(far)}

    rng = np.random.default_rng(0)
    data = rng.normal(size=(UNITS, UNITS)).astype(np.float32) / np.sqrt(UNITS)
    start = rng.normal(size=(UNITS, UNITS)).astype(np.float32)
    return training.Task(lambda trial, key: jnp.asarray(start), step, evaluate, data, name=f"evaluation of {evaluated}")


def swept(evaluated: int, size: Size) -> sweeps.Results:
    """The sweep."""
    space = {"rate": sweeps.values([float(x) for x in np.linspace(0.01, 0.5, size.settings)])}
    return sweeps.run(task(evaluated), space, steps=STEPS, stop=RULE, progress=False)


def alone(evaluated: int, width: int) -> float:
    """Seconds of one evaluation of a chunk by itself, without compilation; median of 9."""
    made = task(evaluated)
    rates, w = jnp.linspace(0.01, 0.5, width), jnp.broadcast_to(made.init(None, None), (width, UNITS, UNITS))
    run = jax.jit(jax.vmap(lambda rate, w, data: made.evaluate({"rate": rate}, w, data), in_axes=(0, 0, None)))
    compiled = run.lower(rates, w, made.data).compile(compiler_options={"xla_cpu_multi_thread_eigen": False})
    jax.block_until_ready(compiled(rates, w, made.data))
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        jax.block_until_ready(compiled(rates, w, made.data))
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measured(size: Size) -> Found:
    """The sweep with a long and with no evaluation in turns, and the long one by itself."""
    long = 20 * RUNGS[0]
    for evaluated in (0, long):
        swept(evaluated, size)  # compiles
    ratios, workers = [], os.cpu_count() or 1
    for _ in range(size.rounds):
        bare = swept(0, size)
        full = swept(long, size)
        width, workers = full.facts["widths"][0], full.facts["workers"]
        one = alone(long, width)
        used = sum(map(len, full.rungs or []))
        steps = bare.facts["last"]["run_seconds"]
        ratios.append(full.facts["last"]["run_seconds"] / (steps + used / width * one / workers))
    made = sum(bare.columns["step"])
    return Found(statistics.median(ratios), ratios, one / (steps * workers * width * RUNGS[0] / made), used)


def predictions(found: Found) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    low, high = min(found.ratios), max(found.ratios)
    return [
        (
            "The sweep takes at most 1.1 times the sum of its steps and of the evaluations that the rule uses: runs are "
            "evaluated only where the rule compares them, and the length of segments follows the time of steps alone.",
            f"{found.ratio:.2f} ({low:.2f} to {high:.2f})",
            found.ratio <= 1.1,
        )
    ]


def page(found: Found, size: Size) -> str:
    """The page, as Markdown."""
    return "\n".join(
        [
            "# 11: Long evaluations",
            "",
            "Does a sweep whose evaluation takes ten times as long as the steps before it waste time on evaluations?",
            "",
            f"{size.settings} settings, {STEPS} steps, `{RULE!r}`: runs are compared at steps "
            f"{', '.join(map(str, RUNGS))}. A step is a product of two matrices of {UNITS} × {UNITS}, an evaluation "
            f"{20 * RUNGS[0]} such products, in one chunk {found.evaluation:.1f} times the time of the steps up to the "
            "first comparison. The time of the steps is that of the same sweep with an evaluation that costs nothing, the "
            f"time of an evaluation is measured by itself; the rule used {found.used} evaluations. Compilation is apart.",
            "",
            *pages.table(predictions(found)),
            pages.conditions(__file__, "jax"),
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
    options = parser.parse_args(arguments)
    size = Size(settings=9, rounds=1) if options.small else Size()
    (options.out / "11-long-evaluation.md").write_text(page(measured(size), size), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
