"""What a plan will take, before any of it is compiled."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite import optimizers
from jaxopt_lite.sweeps._plan import Plan
from jaxopt_lite.sweeps.programs._executables import CPU_OPTIONS
from jaxopt_lite.sweeps.programs._group import Group
from jaxopt_lite.sweeps.programs._trace import shape_of, trace
from jaxopt_lite.sweeps.programs._width import bytes_of
from jaxopt_lite.training import Task
from jaxopt_lite.training._run import start
from jaxopt_lite.training.streams._stream import MOST_WINDOWS, step_data

# Shares of the matrix-multiply peak between which the trainings of small networks were measured; see `bench sweep`.
_SHARES = (0.15, 0.45)
# Copies of a chunk's state at work: the state, its successor, gradients and temporaries.
_COPIES = 4


def estimate(planned: Plan) -> dict[str, Any]:
    """What a plan will take: sizes, floating-point operations, memory and time.

    The time of training is the floating-point operations of all steps divided by 45 % to 15 % of the rate of matrix
    products, which is measured now. Nothing but that one product is compiled. Compilation is not included.

    Args:
        planned: what `plan` returned.

    Returns:
        A dict with `task`, `trials` (runs), `settings`, `seeds`, `steps`, `share` (expected share of all
        runs' steps that is made), `structures`, `programs`, `chunk` (width, for
        each program), `chunks`, `bytes_at_a_time` (memory in bytes of the chunks that run at once), `gflop` (10⁹
        floating-point operations in all), `matmul_gflop_per_second` (10⁹ operations per second on all cores or
        devices) and `seconds` (training, as [best, worst]).

    Raises:
        ValueError: the task needs a drawn number while its program is built.

    Example:
        >>> from jaxopt_lite import optimizers as opt, sweeps, training
        >>> from jaxopt_lite.activations import tanh
        >>> space = {"activation": tanh, "optimizer": opt.sgd(sweeps.values([0.1, 1.0]))}
        >>> found = sweeps.estimate(sweeps.plan(training.builtin("spirals"), space, seeds=3, steps=500))
        >>> found["trials"], found["programs"]
        (6, 1)
    """
    members = Counter[int]()
    for (nth, _), trials in planned.alike.items():
        members[nth] += trials
    mean = sum(_step_flop(planned.task, planned.groups[nth]) * n for nth, n in members.items()) / members.total()
    flop = mean * planned.runs * planned.steps * planned.share
    rate = matmul_rate(planned.devices, planned.workers)
    programs = [
        trace(planned.task, planned.groups[nth], planned.widths[nth], planned.devices[0], planned.layout)
        for nth in members
    ]
    needed = [
        _COPIES * bytes_of(one.carry) + (MOST_WINDOWS * bytes_of(one.feed.shapes) if one.feed else 0)
        for one in programs
    ]
    return {
        "task": planned.task.name,
        "trials": planned.runs,
        "settings": planned.most,
        "seeds": list(planned.seeds),
        "steps": planned.steps,
        "share": planned.share,
        "structures": planned.structures,
        "programs": len(planned.used),
        "chunk": [planned.widths[nth] for nth in planned.used],
        "chunks": sum(planned.chunks),
        "bytes_at_a_time": max(needed) * planned.workers,
        "gflop": flop / 1e9,
        "matmul_gflop_per_second": rate / 1e9,
        "seconds": [flop / rate / max(_SHARES), flop / rate / min(_SHARES)],
    }


def matmul_rate(devices: Sequence[Any], workers: int, size: int = 1024, repeats: int = 7) -> float:
    """The rate of float32 matrix products, one on each core or device at once.

    Args:
        devices: the JAX devices that run.
        workers: number of products that run at the same time, at least 1.
        size: rows and columns of the matrices. Default: 1024.
        repeats: number of timings, of which the median counts. Default: 7.

    Returns:
        Floating-point operations per second of all workers together, without compilation.

    Example:
        >>> import jax
        >>> from jaxopt_lite import sweeps
        >>> sweeps.matmul_rate(jax.local_devices()[:1], workers=1, size=64, repeats=1) > 1e6
        True
    """

    def ready(device: Any) -> tuple[Any, Any]:
        x = jax.device_put(jnp.full((size, size), 1 / size, jnp.float32), device)
        product = jax.jit(lambda a: jax.lax.fori_loop(0, 8, lambda _, b: a @ b, a))
        options = CPU_OPTIONS if device.platform == "cpu" else None
        return product.lower(x).compile(compiler_options=options), x

    programs = [ready(devices[i % len(devices)]) for i in range(workers)]
    times = []
    with ThreadPoolExecutor(len(programs)) as pool:
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            list(pool.map(lambda p: jax.block_until_ready(p[0](p[1])), programs))
            times.append(time.perf_counter() - begin)
    return len(programs) * 8 * 2 * size**3 / statistics.median(times[1:])


def _step_flop(task: Task, group: Group) -> float:
    """Floating-point operations of one step of one trial, by XLA's count, with the simplest optimizer."""

    def step(seed: Any, data: Any) -> Any:
        trial = group.example(optimizers.sgd(0.0))
        carry = jax.eval_shape(lambda: start(task, trial, 0))
        blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype) if not _is_key(x) else jax.random.key(0), carry)
        return task.step(trial, blank, data, jax.random.key(seed))[0]

    data = jax.tree.map(shape_of, step_data(task))
    counted = jax.jit(step).lower(jax.ShapeDtypeStruct((), jnp.uint32), data).cost_analysis()
    counted = counted[0] if isinstance(counted, list) else counted
    return float((counted or {}).get("flops", 0.0))


def _is_key(x: Any) -> bool:
    return bool(jnp.issubdtype(x.dtype, jax.dtypes.prng_key))
