"""The page of `bench activations`: what was expected, tables, and a verdict that names every miss."""

from collections.abc import Iterable, Iterator
from typing import Any

from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_memory import Memory

ULP16, LIMIT, SLOWER = 0.51, (4.0, 6.0, 8.0), 1.4
_HALVES, _ORDERS = ("bfloat16", "float16"), ("value", "slope", "curvature")
_FORMS = {
    "jaxopt_lite": "jaxopt_lite",
    "act_dense": "act_dense",
    "jax.nn": "jax.nn",
    "checkpointed": "jax.checkpoint(jax.nn)",
    "checkpointed block": "checkpointed block",
}

EXPECTED = (
    f"all 16-bit results within {ULP16} ulp in every order, no NaN from a finite input, every limit right; float32"
    " within 4 / 6 / 8 ulp; in a scan at most two arrays kept per layer and one with `act_dense`, in an unrolled "
    "network no more than `jax.nn`; no row slower than 1.4 times `jax.nn` or the plain formula, in either type, "
    "at either size."
)
ACCURACY = (
    "Largest error of value / slope / curvature in units in the last place (ulp): all inputs of the 16-bit types,"
    " {every} of float32{near}. Subnormal inputs are left out, subnormal results count only if they miss by more "
    "than the smallest normal number, and at kinks only the value is judged. Within 25 % of an isolated root the "
    "unit is that of 2⁻⁴ or of the result, whichever is larger; in rows that mix several entries (softmax and the"
    " like) also wherever |x| < ¼. N: finite results that come out NaN or infinite. Limits: how many of the (up "
    "to six) limits at ±inf are wrong, in float32."
)
COST = (
    "Rows of float32 in cache that take more than 1.4 times the rival's time, value / vector-Jacobian product, and the "
    "largest error of value / slope / curvature in ulp. Here the array is in the cache and nothing else is computed; "
    "beside a matrix product the difference is that of the blocks above. Where it counts for more than the accuracy, "
    "use the rival: models, `act_dense` and sweeps take any function, `jax.nn.gelu` as well as `activations.gelu`."
)
MEMORY = (
    "Arrays kept per layer, float32, its input counted (1.00 is what the matrix product needs): slope of the "
    "compiled temporary memory from 8 to 24 layers in a `lax.scan` / the same in an unrolled network, one "
    "`jit(grad)` over a list of weights / closure of `jax.vjp`. A layer is `f(h @ w)`; the blocks are "
    "`act_dense(f, z, w)` and `jax.checkpoint(lambda z, w: f(z) @ w)`. XLA:CPU merges a recomputation with the "
    "forward pass unless a scan separates them, so the unrolled figures differ on an accelerator."
)


def render_activations(figures: dict[str, Any]) -> str:
    """Write the figures as a page of Markdown.

    Args:
        figures: what `activations` returns.

    Returns:
        The page: prediction, verdict, and the tables of accuracy, memory and time.

    Example:
        >>> page = render_activations(activations(only=["tanh"], small=True))  # doctest: +SKIP
    """
    size, versions = figures["size"], ", ".join(f"{k} {v}" for k, v in figures["versions"].items())
    every = "all patterns" if size["stride"] == 1 else f"every {size['stride']}th pattern"
    near = "" if size["stride"] == 1 else f", and {2 * size['around'] + 1:,} around each of about 100 landmarks"
    sizes = ", ".join(f"{name}: {rows} × {columns}" for name, (rows, columns) in size["shapes"])
    rounds = " and ".join(map(str, size["rounds"]))
    batch, width = size["block"]
    parts = [
        ["# How accurate, lean and fast are the activations?"],
        _paragraph(f"Expected: {EXPECTED}"),
        ["**Verdict**"],
        [line for sentence in verdict(figures) for line in _item(sentence)],
        [_command(figures)],
        [
            f"Device: {figures['device']}, {figures['cores']} cores; load before the run {figures['load']:.1f}.",
            f"Versions: {versions}.",
        ],
        ["### Accuracy"],
        _paragraph(ACCURACY.format(every=every, near=near)),
        _accuracy_table(figures["rows"]),
        ["### Memory"],
        _paragraph(MEMORY),
        _memory_table(figures["rows"]),
        ["Gated blocks, in arrays of the inner width (the outer one is a quarter, its input counts 0.25):"],
        _gated_table(figures["blocks"]["memory"]),
        ["### Time"],
        _paragraph(
            "Value / vector-Jacobian product in units of a copy of the array, ours and, after the bar, those of "
            f"`jax.nn` or else of the plain `jax.numpy` formula; all take turns, fastest of {rounds} rounds, "
            f"compilation apart. Sizes: {sizes}."
        ),
        _time_table(figures["rows"], [name for name, _ in size["shapes"]]),
        _paragraph(
            f"Blocks of {batch} × {width} with a square matrix: value / value with all gradients, in units of the "
            "block written with `jax.nn`."
        ),
        _block_table(figures["blocks"]["time"]),
        ["### What accuracy costs"],
        _paragraph(COST),
        _cost_table(figures),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def verdict(figures: dict[str, Any]) -> list[str]:
    """Sentences that compare the figures with the prediction and name every miss."""
    rows = figures["rows"]
    return [
        _sentence("16-bit results beyond 0.51 ulp", _inaccurate(rows, _HALVES, (ULP16,) * 3)),
        _sentence("float32 results beyond 4 / 6 / 8 ulp", _inaccurate(rows, ("float32",), LIMIT)),
        _sentence("NaN or infinity for a finite result", _broken(rows)),
        _sentence(
            "wrong limits", (name for name, row in rows.items() if row["accuracy"]["jaxopt_lite"]["wrong limits"])
        ),
        _strict(rows),
        *_memory_sentences(rows),
        *_time_sentences(figures),
    ]


def _sentence(what: str, names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"{what[0].upper() + what[1:]}: {listed or 'none'}."


def _inaccurate(rows: dict[str, Any], dtypes: tuple[str, ...], bounds: tuple[float, ...]) -> Iterator[str]:
    for name, row in rows.items():
        for dtype in dtypes:
            errors = row["accuracy"]["jaxopt_lite"][dtype]["ulp"]
            for order, error, bound in zip(_ORDERS, errors, bounds, strict=True):
                if not error <= bound:
                    yield f"{name} {order} {_ulp(error)}" + (f" in {dtype}" if len(dtypes) > 1 else "")


def _broken(rows: dict[str, Any]) -> Iterator[str]:
    for name, row in rows.items():
        for dtype in (*_HALVES, "float32"):
            if count := int(sum(row["accuracy"]["jaxopt_lite"][dtype]["broken"])):
                yield f"{name} {count:,} in {dtype}"


def _strict(rows: dict[str, Any]) -> str:
    """The largest error of each type if the unit near roots were that of the result."""
    found = []
    for dtype in (*_HALVES, "float32"):
        error, name, order = max(
            (error, name, order)
            for name, row in rows.items()
            for order, error in zip(_ORDERS, row["accuracy"]["jaxopt_lite"][dtype]["strict"], strict=True)
        )
        found.append(f"{_ulp(error)} in {dtype} ({name}, {order})")
    return f"Without the rule for roots the largest errors are {', '.join(found)}."


def _memory_sentences(rows: dict[str, Any]) -> Iterator[str]:
    kept = {name: {form: Memory(*m) for form, m in row["memory"].items()} for name, row in rows.items()}
    kept = {name: forms for name, forms in kept.items() if forms}
    yield _sentence("more than two arrays in a scan", _more(kept, "jaxopt_lite", "scan", 2.0))
    yield _sentence("more than one array with `act_dense` in a scan", _more(kept, "act_dense", "scan", 1.0))
    rivals = {name: m for name, m in kept.items() if "jax.nn" in m}
    for form in ("jaxopt_lite", "act_dense"):
        worse = (
            f"{name} {m[form].unrolled:.2f} ({m['jax.nn'].unrolled:.2f})"
            for name, m in rivals.items()
            if m[form].unrolled > m["jax.nn"].unrolled + 0.01
        )
        yield _sentence(f"more unrolled than `jax.nn` (in brackets) with {form}", worse)
    same = [n for n, m in rivals.items() if abs(m["act_dense"].scan - m["checkpointed block"].scan) < 0.01]
    share = f"{len(same)} of {len(rivals)} rows"
    yield f"In a scan a checkpointed block of `jax.nn` keeps as little as `act_dense` in {share}."


def _more(kept: dict[str, Any], form: str, where: str, bound: float) -> Iterator[str]:
    for name, m in kept.items():
        if getattr(m[form], where) > bound + 0.01:
            yield f"{name} {getattr(m[form], where):.2f}"


def _time_sentences(figures: dict[str, Any]) -> Iterator[str]:
    for size, _ in figures["size"]["shapes"]:
        for dtype in ("float32", "bfloat16"):
            slower = [f"{name} {_figures(ratios)}" for name, ratios in _slower(figures["rows"], size, dtype)]
            yield _sentence(f"slower than 1.4 times the rival, {dtype}, {size} (value / vjp)", slower)
    yield _sentence("blocks slower than 1.4 times the faster rival", _slow_blocks(figures["blocks"]["time"]))


def _slower(rows: dict[str, Any], size: str, dtype: str) -> Iterator[tuple[str, list[float]]]:
    """The rows that take more than `SLOWER` times the rival's time, with both ratios."""
    for name, row in rows.items():
        ours, rival = (row["time"][size][dtype].get(k) for k in ("jaxopt_lite", "rival"))
        if rival and max(ratios := [a / b for a, b in zip(ours, rival, strict=True)]) > SLOWER:
            yield name, ratios


def _slow_blocks(blocks: dict[str, Any]) -> Iterator[str]:
    for block, by_dtype in blocks.items():
        for dtype, times in by_dtype.items():
            rival = [min(pair) for pair in zip(times["jax.nn"], times["checkpointed"], strict=True)]
            ratios = [a / b for a, b in zip(times["jaxopt_lite"], rival, strict=True)]
            if max(ratios) > SLOWER:
                yield f"{block} in {dtype} {_figures(ratios)}"


def _command(figures: dict[str, Any]) -> str:
    size = figures["size"]
    only = "" if set(figures["rows"]) == set(CATALOGUE) else f" --only {','.join(figures['rows'])}"
    stride = {1: " --exhaustive", 2053: ""}.get(size["stride"], f" --stride {size['stride']}")
    small = " --small" if size["small"] else ""
    return f"Command: `jaxopt-lite bench activations{only}{small or stride}`."


def _paragraph(text: str, width: int = 118) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _item(text: str) -> list[str]:
    first, *rest = _paragraph(text, 116)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *body]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _figures(values: Iterable[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


def _accuracy_table(rows: dict[str, Any]) -> list[str]:
    types = (*_HALVES, "float32")
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
    body = [
        (name, *(_figures(row["memory"][form]) if form in row["memory"] else "" for form in _FORMS))
        for name, row in rows.items()
        if row["memory"]
    ]
    return _table(("function", *_FORMS.values()), body)


def _gated_table(blocks: dict[str, Any]) -> list[str]:
    forms = ("jaxopt_lite", "jax.nn", "checkpointed")
    body = [(name, *(_figures(kept[form]) for form in forms)) for name, kept in blocks.items()]
    return _table(("block", "gated_dense", "jax.nn", "checkpointed block"), body)


def _time_table(rows: dict[str, Any], sizes: list[str]) -> list[str]:
    columns = [(size, dtype) for size in sizes for dtype in ("float32", "bfloat16")]
    body = [(name, *(_against(row["time"][size][dtype]) for size, dtype in columns)) for name, row in rows.items()]
    return _table(("function", *(f"{dtype}, {size}" for size, dtype in columns)), body)


def _against(times: dict[str, Any]) -> str:
    return _figures(times["jaxopt_lite"]) + (f" ‖ {_figures(times['rival'])}" if "rival" in times else "")


def _block_table(blocks: dict[str, Any]) -> list[str]:
    dtypes = ("float32", "bfloat16")
    head = ("block", *(f"{form}, {dtype}" for dtype in dtypes for form in ("ours", "checkpointed")))
    body = [
        (name, *(_figures(by_dtype[dtype][form]) for dtype in dtypes for form in ("jaxopt_lite", "checkpointed")))
        for name, by_dtype in blocks.items()
    ]
    return _table(head, body)


def _cost_table(figures: dict[str, Any]) -> list[str]:
    rows, body = figures["rows"], []
    for name, ratios in _slower(rows, figures["size"]["shapes"][0][0], "float32"):
        found = rows[name]["accuracy"]
        errors = (
            _errors(found[library]["float32"]) if library in found else "" for library in ("jaxopt_lite", "jax.nn")
        )
        body.append((name, _figures(ratios), *errors))
    return _table(("function", "time, ours ÷ rival", "error, ours", "error, jax.nn"), body)
