"""Accuracy, memory and speed of every activation, against `jax.nn` and PyTorch, in one run on one machine."""

import platform
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_accuracy import DTYPES, Error, all_halves, audit, reference, some_singles
from jaxopt_lite.bench._activation_memory import kept, kept_by_block, kept_by_gated
from jaxopt_lite.bench._activation_rivals import evaluators, in_jax_nn
from jaxopt_lite.bench._activation_time import ratios_to_copy
from jaxopt_lite.bench._activation_truth import truth

STRIDE, ELEMENTS, REPEATS = 257, 1 << 25, 9
_SLICE = 1 << 24  # patterns of float32 in one go of the exhaustive audit


def activations(
    *,
    only: Iterable[str] | None = None,
    exhaustive: bool = False,
    stride: int = STRIDE,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """The figures of the rows in `only`, or of all.

    accuracy: largest errors in ulp of value, slope and curvature and how many finite results came out NaN or infinite,
    for all 16-bit inputs and every stride-th float32 pattern (with `exhaustive`, all of them: minutes a row); limits:
    how many limits at ±inf are wrong; memory: arrays kept for a layer; time: ratio to a copy of 33 M float32.

    Raises:
        KeyError: a name in `only` is not in the catalogue; offers the nearest.
    """
    names = [name for name in (only or CATALOGUE) if CATALOGUE[name]]
    rows = {}
    for i, name in enumerate(names):
        if progress:
            progress(f"{i + 1}/{len(names)}  {name}")
        rows[name] = {
            "accuracy": _accuracy(name, 1 if exhaustive else stride),
            "memory": _memory(name),
            "time": _time(name),
        }
    return {
        "device": f"{jax.devices()[0].device_kind}, {platform.machine()}",
        "versions": {package: _version(package) for package in ("jax", "jaxlib", "numpy", "torch")},
        "stride": 1 if exhaustive else stride,
        "elements": ELEMENTS,
        "repeats": REPEATS,
        "rows": rows,
        "blocks": _blocks(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _accuracy(name: str, stride: int) -> dict[str, Any]:
    libraries = evaluators(name)
    figures: dict[str, Any] = {library: {} for library in libraries}
    for dtype in DTYPES:
        parts: dict[str, list[tuple[Error, ...]]] = {library: [] for library in libraries}
        for x in _inputs(dtype, stride):
            against = reference(name, dtype, x)
            for library, evaluate in libraries.items():
                parts[library].append(audit(against, evaluate))
        for library in libraries:
            figures[library][dtype] = _worst(parts[library])
    for library, evaluate in libraries.items():
        figures[library]["wrong limits"] = _wrong_limits(name, evaluate)
    return figures


def _inputs(dtype: str, stride: int) -> Iterable[Any]:
    if dtype != "float32":
        return [all_halves(dtype)]
    if stride == 1:
        return (some_singles(1, start, start + _SLICE) for start in range(0, 1 << 32, _SLICE))
    return [some_singles(stride)]


def _worst(parts: list[tuple[Error, ...]]) -> dict[str, list[float]]:
    """Over slices of the inputs: the largest error of each order, and all broken results."""
    errors = [max(order, key=lambda e: e.ulp) for order in zip(*parts, strict=True)]
    broken = [sum(e.broken for e in order) for order in zip(*parts, strict=True)]
    return {"ulp": [e.ulp for e in errors], "at": [e.at for e in errors], "broken": [float(b) for b in broken]}


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


def _memory(name: str) -> dict[str, Any]:
    row = CATALOGUE[name]
    f = partial(row.function, **row.settings)
    if f(jnp.zeros((1, 8))).shape != (1, 8):
        return {}
    figures = {"jaxopt_lite": kept(f), "act_dense": kept_by_block(lambda z, w: act.act_dense(f, z, w))}
    if theirs := in_jax_nn(name):
        figures["jax.nn"] = kept(theirs)
    return figures


def _time(name: str) -> dict[str, tuple[float, float]]:
    row = CATALOGUE[name]
    if row.kind != "elementwise":
        return {}
    functions: dict[str, Callable[..., Any]] = {"jaxopt_lite": partial(row.function, **row.settings)}
    if theirs := in_jax_nn(name):
        functions["jax.nn"] = theirs
    return ratios_to_copy(functions, ELEMENTS, REPEATS)


def _blocks() -> dict[str, Any]:
    """Arrays of the inner width kept by gated blocks: with `gated_dense`, and as one would write them with `jax.nn`."""
    pairs = {"SwiGLU": (act.silu, jax.nn.silu), "GeGLU": (act.gelu, jax.nn.gelu)}
    return {
        label: {
            "gated_dense": kept_by_gated(lambda g, u, w, ours=ours: act.gated_dense(ours, g, u, w)),
            "jax.nn": kept_by_gated(lambda g, u, w, theirs=theirs: (theirs(g) * u) @ w),
        }
        for label, (ours, theirs) in pairs.items()
    }


def render_activations(figures: dict[str, Any]) -> str:
    """The figures as a page of Markdown."""
    versions = ", ".join(f"{package} {number}" for package, number in figures["versions"].items())
    every = "all" if figures["stride"] == 1 else f"every {figures['stride']}th, and 2,049 round each landmark, of the"
    parts = [
        ["# How accurate, lean and fast are the activations?"],
        [
            "Expected: all 16-bit results correctly rounded in every order, no NaN from a finite input, every limit",
            "right; float32 within 4 / 6 / 8 ulp; at most two arrays kept a layer, one with `act_dense`; none of it",
            "at the cost of more than 1.4 times the time of `jax.nn`.",
        ],
        [_command(figures)],
        [f"Device: {figures['device']}. Versions: {versions}."],
        ["### Accuracy"],
        [
            "Largest error of value / slope / curvature in units in the last place, where the true result is a normal",
            f"number: all inputs of the 16-bit types, {every} patterns of float32.",
            "N: finite results that came out NaN or infinite. Limits: how many of the (up to six) limits at ±inf are",
            "wrong, in float32.",
        ],
        _accuracy_table(figures["rows"]),
        ["### Memory"],
        [
            "Arrays kept for each layer `activation(h @ w)`, float32, its input counted (1.00 is what the matrix",
            "product needs): slope over depth of the compiled temporary memory of a scanned stack / closure of",
            "`jax.vjp`.",
        ],
        _memory_table(figures["rows"]),
        ["Gated blocks, in arrays of the inner width (the outer one is a quarter, its input counts 0.25):"],
        _table(
            ("block", "gated_dense", "jax.nn"),
            [(k, *(_pair(v[side]) for side in ("gated_dense", "jax.nn"))) for k, v in figures["blocks"].items()],
        ),
        ["### Time"],
        [
            f"Value / vector-Jacobian product of {figures['elements']:,} float32, in units of a copy of the array",
            f"all taking turns; fastest of {figures['repeats']}, compile time apart.",
        ],
        _time_table(figures["rows"]),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _command(figures: dict[str, Any]) -> str:
    only = "" if set(figures["rows"]) == set(CATALOGUE) else f" --only {','.join(figures['rows'])}"
    stride = {1: " --exhaustive", STRIDE: ""}.get(figures["stride"], f" --stride {figures['stride']}")
    return f"Command: `jaxopt-lite bench activations{only}{stride}`."


def _table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *body]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _pair(pair: Any) -> str:
    return " / ".join(f"{value:.2f}" for value in pair)


def _accuracy_table(rows: dict[str, Any]) -> list[str]:
    types = ("bfloat16", "float16", "float32")
    body = [
        (name, library, *(_errors(found[dtype]) for dtype in types), str(found["wrong limits"]))
        for name, row in rows.items()
        for library, found in row["accuracy"].items()
    ]
    return _table(("function", "library", *types, "limits"), body)


def _errors(found: dict[str, list[float]]) -> str:
    broken = int(sum(found["broken"]))
    return " / ".join(_ulp(e) for e in found["ulp"]) + (f" N {broken:,}" if broken else "")


def _ulp(error: float) -> str:
    return f"{error:.2f}" if error < 10 else f"{error:.0f}" if error < 1000 else f"{error:.0e}"


def _memory_table(rows: dict[str, Any]) -> list[str]:
    libraries = ("jaxopt_lite", "act_dense", "jax.nn")
    body = [
        (name, *(_pair(row["memory"][k]) if k in row["memory"] else "" for k in libraries))
        for name, row in rows.items()
        if row["memory"]
    ]
    return _table(("function", *libraries), body)


def _time_table(rows: dict[str, Any]) -> list[str]:
    body = [
        (name, *(_pair(row["time"][k]) if k in row["time"] else "" for k in ("jaxopt_lite", "jax.nn")))
        for name, row in rows.items()
        if row["time"]
    ]
    return _table(("function", "jaxopt_lite", "jax.nn"), body)
