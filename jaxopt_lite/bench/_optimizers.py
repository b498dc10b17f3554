"""`bench optimizers`: every claim about the optimizers as a figure of this machine, in one run, as one page."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite import _names
from jaxopt_lite import optimizers as opt
from jaxopt_lite.bench import _optimizer_facts as facts
from jaxopt_lite.bench import _optimizer_times as times
from jaxopt_lite.bench._optimizer_training import final_losses

LARGE, REPEATS = 1 << 25, 9
OPTIMIZER_SECTIONS: dict[str, Callable[[], Any]] = {
    "facts": lambda: {
        name: {"ours": facts.compiled_facts(ours), "optax": facts.compiled_facts(theirs)}
        for name, (ours, theirs) in facts.pairs().items()
    },
    "traces": facts.traces,
    "faults": lambda: {
        "grid": facts.faults(),
        "moment": facts.falling_moment(),
        "after_inf": facts.after_inf(),
        "waiting_flops": facts.waiting_flops(),
    },
    "large": lambda: times.large_leaf(LARGE, REPEATS),
    "small": lambda: times.small_tree(REPEATS),
    "accumulate": lambda: times.accumulation(1 << 24, REPEATS),
    "rows": lambda: times.embedding(1_000_000, 64, 4096, 7),
    "half": lambda: times.half_precision(1 << 22, REPEATS),
    "state": lambda: _state_bytes(1 << 20),
    "training": lambda: final_losses(600, 3),
}


def optimizers(*, only: Iterable[str] | None = None, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """The figures of all sections, or of those named in `only`; `progress` is told each section's name as it begins.

    Raises `ValueError` for an unknown section, with the nearest one. Takes some minutes and 1 GB of memory.
    """
    chosen = list(OPTIMIZER_SECTIONS if only is None else only)
    for name in chosen:
        if name not in OPTIMIZER_SECTIONS:
            raise ValueError(_names.unknown("section", name, OPTIMIZER_SECTIONS))
    figures: dict[str, Any] = {"machine": _machine()}
    for name in chosen:
        if progress:
            progress(name)
        figures[name] = OPTIMIZER_SECTIONS[name]()
    return figures


def render_optimizers(figures: dict[str, Any]) -> str:
    """The figures as a Markdown page."""
    machine = figures["machine"]
    head = [
        "# Optimizers: measured figures",
        "",
        f"Command: `jaxopt-lite bench optimizers`. Device: {machine['device']}. {machine['versions']}.",
        f"The dtype is float32 unless another is named. Load average before rendering: {machine['load']}.",
        f"Medians of {REPEATS} rounds (7 for rows), ours and the others in turn, compile time not counted.",
        "",
        "A step must return what it was donated, in that order: `step(params, state, grads) -> (params, state)`.",
        "JAX hands donated memory to the results in order of appearance; in another order each moment is copied, with "
        "optax as with us.",
    ]
    body = [RENDER[name](figures[name]) for name in OPTIMIZER_SECTIONS if name in figures]
    return "\n".join([*head, *body, ""])


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


def _state_bytes(entries: int) -> dict[str, float]:
    """Bytes of state an entry: Adam plain, coded, with half-precision moments."""
    ways = {
        "adam": opt.adam(1e-3),
        "adam, mu_dtype and nu_dtype bfloat16": opt.adam(1e-3, mu_dtype=jnp.bfloat16, nu_dtype=jnp.bfloat16),
        "compress(adam)": opt.compress(opt.adam(1e-3)),
    }
    params = jnp.zeros(entries)
    return {name: sum(x.nbytes for x in jax.tree.leaves(tx.init(params))) / entries for name, tx in ways.items()}


def _table(title: str, columns: list[str], rows: list[list[str]], note: str = "") -> str:
    lines = [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows]]
    return "\n".join(["", f"## {title}", *([note, ""] if note else [""]), *lines])


def _facts(figures: Any) -> str:
    rows = [
        [name, *(f"{both[who][key]:.{d}f}" for key, d in KEYS for who in ("ours", "optax"))]
        for name, both in figures.items()
    ]
    columns = ["step", *(f"{key}, {who}" for key, _ in KEYS for who in ("ours", "optax"))]
    note = (
        "Of the compiled donated step, an entry of one leaf of 1 M; bytes moved and flops as XLA counts them (a branch "
        "counts whether taken or not), temporary memory in bytes, share of the donated memory reused."
    )
    return _table("The compiled step", columns, rows, note)


KEYS = (("bytes", 0), ("flops", 0), ("temporary", 1), ("aliased", 2))


def _traces(figures: Any) -> str:
    rows = [[name, str(ours), str(theirs)] for name, (ours, theirs) in figures.items()]
    return _table("Traces", ["", "ours", "optax"], rows)


def _faults(figures: Any) -> str:
    rows = [
        [dtype, kind, str(ours), str(theirs)]
        for dtype, kinds in figures["grid"].items()
        for kind, (ours, theirs) in kinds.items()
    ]
    grid = _table("Optimizers with a non-finite update", ["dtype", "gradient", "ours", "optax"], rows)
    flops = figures["waiting_flops"]
    rest = [
        [f"second moment in bfloat16 after a tenfold drop, against float32: {who}", f"{x:.2f}"]
        for who, x in figures["moment"].items()
    ]
    rest += [[f"accumulate, finite again after an inf: {who}", str(ok)] for who, ok in figures["after_inf"].items()]
    rest += [[f"flops an entry of a micro-step that emits nothing: {who}", f"{x:.1f}"] for who, x in flops.items()]
    return grid + "\n" + _table("Faults", ["", ""], rest)


def _large(figures: Any) -> str:
    rows = [
        [
            name,
            f"{1e3 * row['ours']:.1f}",
            f"{row['ours'] / row['optax']:.2f}",
            f"{row['ours'] / row['torch']:.2f}" if row.get("torch") else "",
            f"{row['ours'] / row['limit']:.2f}",
            f"{row['optax'] / row['limit']:.2f}",
        ]
        for name, row in figures.items()
    ]
    columns = ["step", "ms", "ours / optax", "ours / torch fused", "ours / memory limit", "optax / memory limit"]
    note = "One leaf of 32 M float32. The limit is the words the step must move at the speed of an in-place axpy."
    return _table("A large leaf", columns, rows, note)


def _small(figures: Any) -> str:
    rows = [
        [
            name,
            *(f"{1e3 * row[f'ours {way}']:.3f}" for way in WAYS),
            *(f"{row[f'ours {way}'] / row[f'optax {way}']:.2f}" for way in WAYS),
        ]
        for name, row in figures.items()
    ]
    columns = ["step", *(f"{way}, ms" for way in WAYS), *(f"{way}, of optax" for way in WAYS)]
    note = (
        "An MLP of 6 leaves, 9,000 entries. Called eagerly, ours is one compiled program. Jitted without donation "
        "each setting is copied from state to state, some 6 µs each; donated, as a training step is, they stay where "
        "they are."
    )
    return _table("A small tree", columns, rows, note)


WAYS = ("eager", "jitted", "donated")


def _accumulate(figures: Any) -> str:
    rows = [[f"{name}", f"{1e3 * x:.1f}", f"{x / figures['axpy']:.2f}"] for name, x in figures.items()]
    return _table("A micro-step that emits nothing (adamw, 16 M)", ["", "ms", "of a bare addition"], rows)


def _rows(figures: Any) -> str:
    rows = [
        [
            "time",
            f"{1e3 * figures['rows']:.2f} ms",
            f"{1e3 * figures['dense']:.1f} ms",
            f"{figures['rows'] / figures['dense']:.4f}",
        ],
        [
            "temporary",
            f"{figures['rows temporary'] / 1e6:.1f} MB",
            f"{figures['dense temporary'] / 1e6:.1f} MB",
            f"{figures['rows temporary'] / figures['dense temporary']:.4f}",
        ],
    ]
    note = f"AdaGrad, table 1 M × 64, 4,096 Zipf ids of which {figures['distinct']:.0f} distinct."
    return _table("Rows", ["", "rows.adagrad", "dense", "ratio"], rows, note)


def _half(figures: Any) -> str:
    rows = [[name, f"{1e3 * x:.2f}", f"{x / figures['nearest']:.2f}"] for name, x in figures.items()]
    return _table("Low precision: Adam's step, 4 M", ["", "ms", "of bfloat16 to nearest"], rows)


def _state(figures: Any) -> str:
    return _table("State, bytes an entry", ["", "bytes"], [[name, f"{x:.3f}"] for name, x in figures.items()])


def _training(figures: Any) -> str:
    ways = list(next(iter(figures.values())))
    rows = [
        [name, *(f"{x:.4f} ({100 * (x / row['float32'] - 1):+.1f} %)" for x in row.values())]
        for name, row in figures.items()
    ]
    note = (
        "Final training loss, Adam, MLP with two hidden layers of 128, 600 steps of batch 64, mean of 3 seeds; "
        "change from float32."
    )
    return _table("Low precision: training", ["task, learning rate", *ways], rows, note)


RENDER: dict[str, Callable[[Any], str]] = {
    "facts": _facts,
    "traces": _traces,
    "faults": _faults,
    "large": _large,
    "small": _small,
    "accumulate": _accumulate,
    "rows": _rows,
    "half": _half,
    "state": _state,
    "training": _training,
}
