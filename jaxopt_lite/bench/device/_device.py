"""`bench device`: what the library does on the accelerator of this machine, in one run."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench import _optimizer_times
from jaxopt_lite.bench._sweep import Report
from jaxopt_lite.bench._sweep import Size as SweepSize
from jaxopt_lite.bench.device import _elementwise, _identity, _sweeps

RATES = tuple(float(f"{rate:.6g}") for rate in np.geomspace(1e-4, 1, 64))


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        identity: steps and learning rates of the trainings that are compared.
        sweep: the sweep against loops.
        structures: names of its activations and of its optimizers.
        widths: numbers of runs side by side.
        width_steps: steps of those runs.
        networks: steps of the sweeps of other networks.
        network_rates: learning rates of those sweeps, and how many of them the loops train.
        shape: of the arrays on which activations are timed.
        timing: rounds, and calls queued in each.
        stride: every stride-th float32 pattern is audited.
        halves: every so many-th pattern of the 16-bit types is audited.
        entries: of the array on which optimizer steps are timed.
        side: rows and columns of the matrices that are multiplied.
        repeats: timings of optimizer steps and sweeps; medians are reported.
        names: activations; None for all.
        optimizers: optimizers; None for all.
    """

    identity: tuple[int, int] = (200, 16)
    sweep: SweepSize = SweepSize(steps=500, seeds=4, rates=RATES, every=32)
    structures: tuple[tuple[str, ...], tuple[str, ...]] = (("tanh", "relu"), ("sgd", "adam"))
    widths: tuple[int, ...] = (1, 32, 1024)
    width_steps: int = 200
    networks: tuple[tuple[str, int], ...] = (("cnn", 60), ("transformer", 60))
    network_rates: tuple[int, int] = (32, 4)
    shape: tuple[int, int] = (8192, 8192)
    timing: tuple[int, int] = (3, 10)
    stride: int = 20011
    halves: int = 1
    entries: int = 1 << 27
    side: int = 8192
    repeats: int = 3
    names: tuple[str, ...] | None = None
    optimizers: tuple[str, ...] | None = None


SMALL = Size(
    identity=(4, 2),
    sweep=SweepSize(steps=4, seeds=1, rates=(0.01, 0.1), repeats=1, every=3),
    structures=(("tanh",), ("sgd",)),
    widths=(1, 2),
    width_steps=3,
    networks=(("gru", 2),),
    network_rates=(2, 1),
    shape=(8, 16),
    timing=(1, 1),
    stride=1 << 24,
    halves=64,
    entries=1 << 10,
    side=16,
    repeats=1,
    names=("relu", "gelu"),
    optimizers=("adam",),
)


def _sections(size: Size, report: Report) -> dict[str, Callable[[], Any]]:
    names = size.names or tuple(CATALOGUE)
    chosen = size.optimizers or _optimizer_times.compared()
    return {
        "identity": lambda: (
            {
                "default": _identity.measured(*size.identity),
                _identity.DETERMINISTIC: _identity.measured(*size.identity, _identity.DETERMINISTIC),
            }
            if jax.default_backend() == "gpu"
            else {"default": _identity.measured(*size.identity)}
        ),
        "rates": lambda: _rates(size),
        "sweep": lambda: _sweeps.against_loops(size.sweep._replace(repeats=size.repeats), *size.structures, report),
        "widths": lambda: _sweeps.by_width(size.widths, size.width_steps, size.sweep.batch, size.repeats, report),
        "optimizers": lambda: _optimizer_times.large_leaf(size.entries, 3 * size.repeats, chosen),
        "times": lambda: _elementwise.times(names, size.shape, *size.timing),
        "errors": lambda: _elementwise.errors(names, size.stride, size.halves),
        "networks": lambda: _sweeps.networks(dict(size.networks), *size.network_rates, size.repeats, report),
    }


DEVICE_SECTIONS = tuple(_sections(SMALL, lambda _: None))


def device(
    *, only: list[str] | None = None, small: bool = False, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Measure sweeps, activations and optimizers on the first device of this machine, and whether runs are identical.

    Meant for a GPU or TPU; it runs on a CPU too, where `bench sweep`, `activations` and `optimizers` measure more.
    Takes about 5 minutes on a data-centre GPU.

    Args:
        only: names of sections, of `DEVICE_SECTIONS`. Default None: all.
        small: whether to use tiny sizes, which show that the command works and measure nothing.
        progress: a function that is called with a line of text before each measurement. Default None.

    Returns:
        Figures for `render_device`: an entry per section, `device`, `memory` (bytes), `versions`, `sizes`. A section
        that fails has the error's text under `failed` instead.

    Raises:
        ValueError: an unknown section.

    Example:
        >>> page = render_device(device(small=True))  # doctest: +SKIP
    """
    size, report = SMALL if small else Size(), progress or (lambda _: None)
    sections = _sections(size, report)
    unknown = [name for name in only or () if name not in sections]
    if unknown:
        raise ValueError(f"no section {unknown[0]!r}: there are {', '.join(sections)}")
    first = jax.local_devices()[0]
    figures: dict[str, Any] = {
        "device": f"{first.device_kind} ({first.platform})",
        "memory": (first.memory_stats() or {}).get("bytes_limit"),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "flax", "optax")},
        "sizes": size._asdict() | {"small": small},
        "failed": {},
    }
    for name, measure in sections.items():
        if name in (only or sections):
            report(name)
            with _recorded(name, figures["failed"], report):
                figures[name] = measure()
    return figures


@contextlib.contextmanager
def _recorded(name: str, failed: dict[str, str], report: Report) -> Iterator[None]:
    """Keep the error of a section: the others are still measured, since time on a lent device is short."""
    try:
        yield
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        report(f"{name} failed: {failed[name]}")


def _rates(size: Size) -> dict[str, float]:
    """Bytes per second of y ← y + x/2, and floating-point operations per second of matrix products."""
    run = _optimizer_times.axpy(jnp.ones(size.entries))
    seconds = _elementwise.queued({"axpy": run}, *size.timing)["axpy"]
    matrix = jnp.full((size.side, size.side), 1 / size.side, jnp.float32)
    products = {
        "float32": _product(matrix),
        "float32, highest precision": _product(matrix, "highest"),
        "bfloat16": _product(matrix.astype(jnp.bfloat16)),
    }
    times = _elementwise.queued(products, *size.timing)
    return {"bytes": 3 * 4 * size.entries / seconds} | {name: 2 * size.side**3 / s for name, s in times.items()}


def _product(x: jax.Array, precision: str | None = None) -> Callable[[], jax.Array]:
    return partial(jax.jit(partial(jnp.matmul, precision=precision)), x, x)
