"""Accuracy, memory and speed of every activation, against the best alternatives, in one run on one machine."""

import os
import platform
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_accuracy import DTYPES, Error, all_halves, audit, reference, some_singles
from jaxopt_lite.bench._activation_memory import DEPTHS, kept, kept_by_block, kept_by_gated
from jaxopt_lite.bench._activation_rivals import evaluators, in_jax_nn, plain
from jaxopt_lite.bench._activation_time import programs, ratios_to_copy, ratios_to_first
from jaxopt_lite.bench._activation_truth import truth

_SLICE = 1 << 24  # patterns of float32 per pass of the exhaustive audit
TIMED = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
GATED = {"SwiGLU": "silu", "GeGLU": "gelu"}


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        stride: every stride-th float32 pattern is audited.
        around: and so many patterns on either side of each landmark.
        shapes: of the timed arrays, by the name of the size.
        rounds: how often each is timed.
        halves: every so many-th pattern of the 16-bit types is audited.
        depths: the numbers of layers between which memory is compared.
        block: (batch, width) of the timed blocks.
        dense: activations of the dense blocks.
        gated: gated blocks.
    """

    stride: int = 2053
    around: int = 1024
    shapes: tuple[tuple[str, tuple[int, int]], ...] = (("in cache", (256, 4096)), ("33 M", (8192, 4096)))
    rounds: tuple[int, ...] = (15, 3)
    halves: int = 1
    depths: tuple[int, int] = DEPTHS
    block: tuple[int, int] = (1024, 512)
    dense: tuple[str, ...] = ("gelu", "silu", "tanh", "relu")
    gated: tuple[str, ...] = tuple(GATED)


SMALL = Size(
    stride=1 << 24,
    around=2,
    shapes=(("in cache", (4, 16)), ("33 M", (8, 16))),
    rounds=(1, 1),
    halves=16,
    depths=(2, 4),
    block=(8, 8),
    dense=("gelu",),
    gated=("SwiGLU",),
)


def activations(
    *,
    only: Iterable[str] | None = None,
    exhaustive: bool = False,
    stride: int | None = None,
    small: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure the activations and the same functions of `jax.nn` and PyTorch.

    Audits and compilations use all cores; the timings come after them, alone. Takes about 8 minutes on 2 cores.

    Args:
        only: names of catalogue rows. Default None: all.
        exhaustive: whether to audit all 2³² float32 patterns: minutes per row.
        stride: audit every stride-th float32 pattern. Default None: 2053.
        small: whether to use tiny sizes, which show that the command works and measure nothing.
        progress: a function that is called with a line of text before each measurement. Default None.

    Returns:
        Figures for `render_activations`: for each of `rows` the `accuracy` (largest errors in ulp of value, slope and
        curvature, and how many finite results are NaN or infinite, per library and dtype; wrong limits at ±inf), the
        `memory` (arrays kept per layer) and the `time` (ratios to a copy, per size and dtype); `blocks` with the memory
        and time of dense blocks; `device`, `versions`, `load`, and the sizes.

    Raises:
        KeyError: a name in `only` is not in the catalogue.

    Example:
        >>> page = render_activations(activations(only=["tanh"], small=True))  # doctest: +SKIP
    """
    size, report = SMALL if small else Size(), progress or (lambda _: None)
    size = size._replace(stride=1 if exhaustive else stride or size.stride)
    names, load = [name for name in (only or CATALOGUE) if CATALOGUE[name]], os.getloadavg()[0]

    def untimed(name: str) -> dict[str, Any]:
        report(f"audit  {name}")
        return {
            "accuracy": _accuracy(name, size),
            "memory": _memory(name, size.depths),
            "programs": _programs(name, size),
        }

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = {label: pool.submit(measure) for label, measure in _block_memory(size).items()}
        rows = dict(zip(names, pool.map(untimed, names), strict=True))
    for i, (name, row) in enumerate(rows.items()):
        report(f"time  {i + 1}/{len(rows)}  {name}")
        row["time"] = _time(row.pop("programs"), size)
    report("time  blocks")
    return {
        "device": f"{jax.devices()[0].device_kind}, {platform.machine()}",
        "cores": os.cpu_count(),
        "load": load,
        "versions": {package: _version(package) for package in ("jax", "jaxlib", "numpy", "torch")},
        "size": size._asdict() | {"small": small},
        "rows": rows,
        "blocks": {"memory": {k: v.result() for k, v in blocks.items()}, "time": _block_times(size)},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _accuracy(name: str, size: Size) -> dict[str, Any]:
    libraries = evaluators(name)
    figures: dict[str, Any] = {library: {} for library in libraries}
    for dtype in DTYPES:
        parts: dict[str, list[tuple[Error, ...]]] = {library: [] for library in libraries}
        for x in _inputs(dtype, size):
            against = reference(name, dtype, x)
            for library, evaluate in libraries.items():
                parts[library].append(audit(against, evaluate))
        for library in libraries:
            figures[library][dtype] = _worst(parts[library])
    for library, evaluate in libraries.items():
        figures[library]["wrong limits"] = _wrong_limits(name, evaluate)
    return figures


def _inputs(dtype: str, size: Size) -> Iterable[Any]:
    if dtype != "float32":
        return [all_halves(dtype)[:: size.halves]]
    if size.stride == 1:
        return (some_singles(1, start, start + _SLICE) for start in range(0, 1 << 32, _SLICE))
    return [some_singles(size.stride, around=size.around)]


def _worst(parts: list[tuple[Error, ...]]) -> dict[str, list[float]]:
    """Over slices of the inputs: the largest error of each order, and all broken results."""
    errors = [max(order, key=lambda e: e.ulp) for order in zip(*parts, strict=True)]
    return {
        "ulp": [e.ulp for e in errors],
        "at": [e.at for e in errors],
        "strict": [max(e.strict for e in order) for order in zip(*parts, strict=True)],
        "broken": [float(sum(e.broken for e in order)) for order in zip(*parts, strict=True)],
    }


def _wrong_limits(name: str, evaluate: Callable[..., Any]) -> int:
    """How many of the limits of value, slope and curvature at -inf and inf are missed in float32."""
    far = np.array([-1.3e30, -1e30, 1e30, 1.3e30])
    got = evaluate(np.array([-np.inf, np.inf], np.float32))
    true = truth(name, far, **CATALOGUE[name].settings, **CATALOGUE[name].initial)
    wrong = 0
    for y, t in zip(got, true, strict=True):
        for side, (a, b) in enumerate((t[:2], t[2:])):
            if abs(a) > 1e15:
                wrong += bool(y[side] != np.sign(a) * np.inf)
            elif abs(a - b) < 1e-9:  # else there is none
                wrong += not np.isclose(float(y[side]), a, rtol=1e-6, atol=1e-6)
    return wrong


def _memory(name: str, depths: tuple[int, int]) -> dict[str, Any]:
    row = CATALOGUE[name]
    f = partial(row.function, **row.settings)
    if f(jnp.zeros((1, 8))).shape != (1, 8):
        return {}
    figures = {"jaxopt_lite": kept(f, depths), "act_dense": kept_by_block(partial(act.act_dense, f), depths)}
    if theirs := in_jax_nn(name):
        figures["jax.nn"] = kept(theirs, depths)
        figures["checkpointed"] = kept(jax.checkpoint(theirs), depths)
        figures["checkpointed block"] = kept_by_block(jax.checkpoint(_block(theirs)), depths)
    return figures


def _block(f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    return lambda z, w: f(z) @ w


def _gated(f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    return lambda gate, up, w: (f(gate) * up) @ w


def _programs(name: str, size: Size) -> dict[str, Any]:
    row = CATALOGUE[name]
    functions: dict[str, Callable[..., Any]] = {"jaxopt_lite": partial(row.function, **row.settings)}
    if rival := plain(name):
        functions["rival"] = rival
    return {k: {d: programs(functions, shape, kind) for d, kind in TIMED.items()} for k, shape in size.shapes}


def _time(made: dict[str, Any], size: Size) -> dict[str, Any]:
    return {
        name: {dtype: ratios_to_copy(of_size, rounds) for dtype, of_size in made[name].items()}
        for (name, _), rounds in zip(size.shapes, size.rounds, strict=True)
    }


def _forms(name: str, *, gated: bool) -> dict[str, Callable[..., jax.Array]]:
    """The block as one would write it with `jax.nn`, with a checkpoint around it, and ours."""
    f, theirs = CATALOGUE[name].function, in_jax_nn(name)
    assert theirs is not None
    written = _gated(theirs) if gated else _block(theirs)
    ours = partial(act.gated_dense, f) if gated else partial(act.act_dense, f)
    return {"jax.nn": written, "checkpointed": jax.checkpoint(written), "jaxopt_lite": ours}


def _block_memory(size: Size) -> dict[str, Callable[[], Any]]:
    """How to measure what gated blocks keep, in arrays of the inner width."""

    def measure(name: str) -> dict[str, Any]:
        return {form: kept_by_gated(block, size.depths) for form, block in _forms(name, gated=True).items()}

    return {label: partial(measure, GATED[label]) for label in size.gated}


def _block_times(size: Size) -> dict[str, Any]:
    """Times of value and gradients of dense and gated blocks, in units of the block written with `jax.nn`."""
    batch, width = size.block
    found: dict[str, Any] = {}
    for dtype, kind in TIMED.items():
        for name in size.dense:
            shapes: tuple[tuple[int, int], ...] = ((batch, width), (width, width))
            times = ratios_to_first(_forms(name, gated=False), shapes, kind, size.rounds[0])
            found.setdefault(f"act_dense, {name}", {})[dtype] = times
        for label in size.gated:
            shapes = ((batch, width), (batch, width), (width, width))
            times = ratios_to_first(_forms(GATED[label], gated=True), shapes, kind, size.rounds[0])
            found.setdefault(f"gated_dense, {label}", {})[dtype] = times
    return found
