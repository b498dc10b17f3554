"""Checks the tests: each mutant changes one line of a copy of the project, and the tests named beside it must fail.

Run it from the root of the project with `python tests/mutants.py`. It takes some minutes and is not part of the suite.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Mutant(NamedTuple):
    """One change: what it breaks, the file, the old and the new text of a line, and the tests that must notice."""

    breaks: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant(
        "the command line's learning rates are linear instead of logarithmic",
        "jaxopt_lite/cli/_settings.py",
        "numbers[0] * ratio ** (i / (count - 1))",
        "numbers[0] + (numbers[1] - numbers[0]) * (i / (count - 1))",
        "tests/cli/test_settings.py",
    ),
    Mutant(
        "dropout draws the same mask at every step",
        "jaxopt_lite/training/_network.py",
        "x, key, train=True)",
        "x, jax.random.key(0), train=True)",
        "tests/training/test_supervised.py",
    ),
    Mutant(
        "guard ignores its decay",
        "jaxopt_lite/optimizers/wrappers/_guard.py",
        '1 - s["decay"].astype(jnp.float32)',
        "1 - jnp.float32(0.98)",
        "tests/optimizers/test_guard_settings.py tests/optimizers/test_guard.py",
    ),
    Mutant(
        "guard's loss scale has no ceiling",
        "jaxopt_lite/optimizers/wrappers/_guard.py",
        "grow & (scale < LARGEST_SCALE)",
        "grow",
        "tests/optimizers/test_guard_settings.py tests/optimizers/test_guard.py",
    ),
    Mutant(
        "the sweep's rivals are timed twice",
        "jaxopt_lite/bench/_sweep.py",
        "        accuracies = loop()\n",
        "        loop()\n        accuracies = loop()\n",
        "tests/bench/test_sweep_loops.py",
    ),
    Mutant(
        "the optimizers' rivals are timed twice",
        "jaxopt_lite/bench/_optimizer_times.py",
        "ready(run())\n            if nth:\n                seconds[name]",
        "ready(run())\n            run()\n            if nth:\n                seconds[name]",
        "tests/bench/test_optimizers.py",
    ),
    Mutant(
        "an activation keeps half an array more than its row says",
        "jaxopt_lite/activations/_rule/elementwise.py",
        "return y, jax.checkpoint(tangent, prevent_cse=False)(kept",
        "half = jnp.cos(jnp.ravel(x)[: x.size // 2])\n"
        "        more = lambda *kept: tangent(*kept) * (1 + 0 * half.sum())\n"
        "        return y, jax.checkpoint(more, prevent_cse=False)(kept",
        "tests/activations/test_memory.py",
    ),
    Mutant(
        "the accuracy audit forgives errors near roots up to one unit",
        "jaxopt_lite/bench/_activation_accuracy.py",
        "_ROOT_FLOOR = 0.25, 2.0**-4",
        "_ROOT_FLOOR = 0.25, 1.0",
        "tests/activations/test_accuracy.py tests/activations/test_bench.py",
    ),
    Mutant(
        "halving continues one trial too many",
        "jaxopt_lite/sweeps/strategies/_halving.py",
        "[: math.ceil(len(trials) / eta ** (list(rungs).index(rung) + 1))]",
        "[: math.ceil(len(trials) / eta ** (list(rungs).index(rung) + 1)) + 1]",
        "tests/sweeps/test_strategies.py",
    ),
    Mutant(
        "confirmation uses the seeds of the search",
        "jaxopt_lite/sweeps/execution/_rounds.py",
        "    seed = max(seeds)\n",
        "    seed = -1\n    seeds = ()\n",
        "tests/sweeps/test_rounds.py",
    ),
    Mutant(
        "the states of all runs are kept",
        "jaxopt_lite/sweeps/execution/_rounds.py",
        "row.id in stored and row.trial not in best",
        "row.id in stored and False",
        "tests/sweeps/test_rounds.py",
    ),
    Mutant(
        "the sampler of each batch has the same seed",
        "jaxopt_lite/sweeps/strategies/_optuna.py",
        'f"{seed} {begun}"',
        'f"{seed}"',
        "tests/sweeps/test_optuna.py",
    ),
    Mutant(
        "test scores are computed at every rung",
        "jaxopt_lite/sweeps/execution/_work.py",
        "data, work.span.end == work.span.steps)",
        "data, True)",
        "tests/sweeps/test_rounds.py",
    ),
]


def survives(mutant: Mutant) -> bool:
    """Whether the tests pass although the line is broken."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", "__pycache__", "runs", ".*_cache"))
        text = (copy / mutant.file).read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            raise ValueError(f"{mutant.file} has {text.count(mutant.old)} times {mutant.old!r}: update the mutant")
        (copy / mutant.file).write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", *mutant.tests.split()]
        environment = os.environ | {"PYTHONPATH": str(copy)}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):  # 2 to 5: the tests did not run
        raise RuntimeError(f"{mutant.breaks}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main() -> int:
    """The number of mutants that survive."""
    survivors = 0
    for mutant in MUTANTS:
        alive = survives(mutant)
        survivors += alive
        print("SURVIVED" if alive else "killed  ", mutant.breaks, flush=True)
    print(f"{survivors} of {len(MUTANTS)} mutants survived")
    return survivors


if __name__ == "__main__":
    sys.exit(main())
