"""`bench optimizers`: costs, speed and faults of optimizer steps against optax and torch, in one run."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite import _names
from jaxopt_lite import optimizers as opt
from jaxopt_lite.bench import _optimizer_facts as facts
from jaxopt_lite.bench import _optimizer_times as times
from jaxopt_lite.bench._optimizer_training import final_losses


class Sizes(NamedTuple):
    """How much is measured; entries are those of one leaf.

    Attributes:
        facts: entries of the compiled step.
        large: entries of the large leaf.
        accumulate: entries of the leaf whose gradients are accumulated.
        half: entries of the low-precision step.
        table: rows, columns and looked-up ids of the embedding table.
        repeats: timings of each step; medians are reported.
        training: steps and seeds of the trainings in low precision.
        optimizers: which are measured; None for all.
    """

    facts: int = 1 << 20
    large: int = 1 << 25
    accumulate: int = 1 << 25
    half: int = 1 << 22
    table: tuple[int, int, int] = (1_000_000, 64, 4096)
    repeats: int = 9
    training: tuple[int, int] = (600, 3)
    optimizers: tuple[str, ...] | None = None


SMALL = Sizes(1 << 10, 1 << 10, 1 << 10, 1 << 10, (100, 4, 16), 1, (5, 1), ("sgd", "adam"))


def _compiled(sizes: Sizes) -> dict[str, Any]:
    chosen = sizes.optimizers or facts.pairs()
    return {
        name: {who: facts.compiled_facts(tx, sizes.facts) for who, tx in zip(("ours", "optax"), pair, strict=True)}
        for name, pair in facts.pairs().items()
        if name in chosen
    }


def _state_bytes(sizes: Sizes) -> dict[str, float]:
    """Bytes of state per entry: Adam plain, with half-precision moments, compressed."""
    ways = {
        "adam": opt.adam(1e-3),
        "adam, mu_dtype and nu_dtype bfloat16": opt.adam(1e-3, mu_dtype=jnp.bfloat16, nu_dtype=jnp.bfloat16),
        "compress(adam)": opt.compress(opt.adam(1e-3)),
    }
    params = jnp.zeros(1 << 20)  # large enough that the scalars of the state do not count
    return {name: sum(x.nbytes for x in jax.tree.leaves(tx.init(params))) / params.size for name, tx in ways.items()}


def _chosen(sizes: Sizes) -> Iterable[str]:
    return sizes.optimizers or times.compared()


OPTIMIZER_SECTIONS: dict[str, Callable[[Sizes], Any]] = {
    "facts": _compiled,
    "traces": lambda sizes: facts.traces(),
    "faults": lambda sizes: {
        "grid": facts.faults(),
        "optimizers": len(facts.catalogue_pairs()),
        "moment": facts.falling_moment(),
        "after_inf": facts.after_inf(),
    },
    "large": lambda sizes: times.large_leaf(sizes.large, sizes.repeats, _chosen(sizes)),
    "small": lambda sizes: times.small_tree(sizes.repeats, [name for name in _chosen(sizes) if name in opt.CATALOGUE]),
    "accumulate": lambda sizes: times.accumulation(sizes.accumulate, sizes.repeats),
    "rows": lambda sizes: times.embedding(*sizes.table, sizes.repeats),
    "half": lambda sizes: times.half_precision(sizes.half, sizes.repeats),
    "state": _state_bytes,
    "training": lambda sizes: final_losses(*sizes.training),
}


def optimizers(
    *, only: Iterable[str] | None = None, small: bool = False, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Measure optimizer steps: compiled costs, traces, faults, time, memory, and training in low precision.

    Takes about 4 minutes and 2 GB of memory on 2 cores.

    Args:
        only: names of sections (keys of `OPTIMIZER_SECTIONS`) to measure; default all.
        small: whether to use tiny sizes, which show that the command works and measure nothing.
        progress: a function that is called with the name of each section before it is measured; default no output.

    Returns:
        Figures for `render_optimizers`: `machine` (device, versions, and the load average before the first
        measurement), `sizes`, and one entry per section.

    Raises:
        ValueError: an unknown section; the message offers the nearest name.

    Example:
        >>> round(optimizers(only=["state"])["state"]["adam"], 2)
        8.0
    """
    chosen = list(OPTIMIZER_SECTIONS if only is None else only)
    for name in chosen:
        if name not in OPTIMIZER_SECTIONS:
            raise ValueError(_names.unknown("section", name, OPTIMIZER_SECTIONS))
    sizes = SMALL if small else Sizes()
    figures: dict[str, Any] = {"machine": _machine(), "sizes": sizes._asdict()}
    for nth, name in enumerate(chosen, start=1):
        if progress:
            progress(f"{name} ({nth} of {len(chosen)})")
        figures[name] = OPTIMIZER_SECTIONS[name](sizes)
    return figures


def _machine() -> dict[str, str]:
    device = jax.devices()[0]
    packages = [p for p in ("jax", "optax", "flax", "numpy", "torch") if _version(p)]
    return {
        "device": f"{jax.device_count()} × {device.platform} {device.device_kind}, {platform.machine()}",
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        "versions": ", ".join(f"{name} {_version(name)}" for name in packages),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
