"""Whether a run has the same numbers alone, in company, in a chunk of another width, and continued.

`python -m jaxopt_lite.bench.device._identity STEPS RATES` prints the figures as JSON. The benchmark runs it in a
process of its own, since the flags of XLA are read when a process starts.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import jax
import numpy as np

from jaxopt_lite import activations, optimizers, sweeps, training

# Kernels whose sums have a fixed order; they can be slower.
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
SCORES = ("validation_loss", "validation_accuracy")


def measured(steps: int, rates: int, flags: str = "") -> dict[str, Any]:
    """The figures of `identity`, from a process that starts with some flags of XLA more.

    Args:
        steps: steps of a training, at least 2.
        rates: number of learning rates, at least 2.
        flags: flags for the variable `XLA_FLAGS`.

    Returns:
        What `identity` returns.

    Raises:
        RuntimeError: the process failed; the message is the last line that it printed.
    """
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip(),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # another process may hold the device's memory
    }
    command = [sys.executable, "-m", "jaxopt_lite.bench.device._identity", str(steps), str(rates)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed: {(ended.stderr.strip() or 'no message').splitlines()[-1]}")
    return json.loads(ended.stdout.splitlines()[-1])


def identity(steps: int, rates: int) -> dict[str, dict[str, float]]:
    """Differences between equal runs of the digits classifier, for tanh and Adam.

    Args:
        steps: steps of a training, at least 2.
        rates: number of learning rates, at least 2.

    Returns:
        For each way to run the same trainings: `equal`, the share of them whose validation loss is bitwise identical;
        `loss`, the largest relative difference of validation losses; `accuracy`, the largest difference of validation
        accuracies.
    """
    task = training.builtin("digits")
    every = tuple(float(rate) for rate in np.geomspace(1e-4, 1e-2, rates))
    width = -(-rates // 8) * 8
    first = _scores(_run(task, every, steps, width))
    (alone,) = _scores(_run(task, every[:1], steps, width))
    with tempfile.TemporaryDirectory() as folder:
        _run(task, every, steps // 2, width, store=f"{folder}/store", keep="all")
        continued = _scores(_run(task, every, steps, width, store=f"{folder}/store", keep="all", extend=True))
    found = {
        "again": _differences(first, _scores(_run(task, every, steps, width))),
        "alone": _differences(first[:1], [alone]),
        "continued from half": _differences(first, continued),
        "chunks of another width": _differences(first, _scores(_run(task, every, steps, 2 * width))),
    }
    if jax.local_devices()[0].platform != "cpu" and (cpus := _cpus()):
        found["on the CPU"] = _differences(first, _scores(_run(task, every, steps, width, devices=cpus)))
    return found


def _cpus() -> tuple[Any, ...]:
    try:
        return tuple(jax.local_devices(backend="cpu")[:1])
    except RuntimeError:  # JAX_PLATFORMS names other platforms only
        return ()


def _run(
    task: training.Task, rates: tuple[float, ...], steps: int, width: int, devices: Any = None, **arguments: Any
) -> sweeps.Results:
    space = {"activation": activations.tanh, "optimizer": optimizers.adam(sweeps.values(rates))}
    layout = sweeps.Layout(devices=devices, width=width)
    return sweeps.run(task, space, steps=steps, layout=layout, progress=False, **arguments)


def _scores(results: sweeps.Results) -> list[tuple[float, ...]]:
    return list(zip(*(results.columns[name] for name in SCORES), strict=True))


def _differences(expected: list[tuple[float, ...]], found: list[tuple[float, ...]]) -> dict[str, float]:
    (loss, accuracy), (other_loss, other_accuracy) = np.transpose(expected), np.transpose(found)
    return {
        "equal": float(np.mean(loss == other_loss)),
        "loss": float(np.max(np.abs(loss - other_loss) / np.abs(loss))),
        "accuracy": float(np.max(np.abs(accuracy - other_accuracy))),
    }


if __name__ == "__main__":
    print(json.dumps(identity(*map(int, sys.argv[1:3]))))
