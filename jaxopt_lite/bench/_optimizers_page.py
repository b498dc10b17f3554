"""The page of `bench optimizers`: head, predictions, losses, and a table per section."""

from collections.abc import Callable
from typing import Any

from jaxopt_lite.bench._optimizers_verdict import losses, predictions

KEYS = (("bytes", 0), ("flops", 0), ("temporary", 1), ("aliased", 2))
WAYS = ("eager", "jitted", "donated")


def render_optimizers(figures: dict[str, Any]) -> str:
    """The figures of `optimizers` as a page of Markdown.

    Args:
        figures: what `optimizers` returns; sections that were not measured are left out.

    Returns:
        The page: predictions with their outcome, every row in which ours is slower or larger, and the tables.

    Example:
        >>> page = render_optimizers(optimizers(small=True))  # doctest: +SKIP
    """
    machine, sizes = figures["machine"], figures["sizes"]
    lines = [
        "# Optimizers: measured figures",
        "",
        f"Command: `jaxopt-lite bench optimizers`. Device: {machine['device']}. {machine['versions']}.",
        f"The dtype is float32 unless another is named. Load average before the first measurement: {machine['load']}.",
        f"Times are medians of {sizes['repeats']} rounds in which all take turns, without compilation.",
        "",
        "A step is `step(params, state, grads) -> (params, state)` with `params` and `state` donated: results in the "
        "order of the arguments, because JAX assigns donated memory in that order. In another order each moment is "
        "copied, with optax too.",
        "",
        "## Predictions",
        "",
        "| predicted | measured | |",
        "| --- | --- | --- |",
        *(
            f"| {text} | {measured} | {'holds' if holds else '**fails**'} |"
            for text, measured, holds in predictions(figures)
        ),
        "",
        "## Where ours is slower or larger",
        "",
        *_losses(figures),
    ]
    tables = [RENDER[name](figures[name], sizes) for name in RENDER if name in figures]
    return "\n".join([*lines, *tables, ""])


def _losses(figures: dict[str, Any]) -> list[str]:
    every = losses(figures)
    if not every:
        return ["No measured row is slower or larger than that of optax or torch."]
    return [f"- {what}: {', '.join(rows)}" for what, rows in every.items()]


def _table(title: str, columns: list[str], rows: list[list[str]], note: str = "") -> str:
    lines = [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows]]
    return "\n".join(["", f"## {title}", "", *([note, ""] if note else []), *lines])


def count(entries: int) -> str:
    """A number of entries in words: `32 Mi`, `1 Ki` or as digits."""
    for factor, unit in ((1 << 20, " Mi"), (1 << 10, " Ki")):
        if entries >= factor and entries % factor == 0:
            return f"{entries // factor}{unit}"
    return f"{entries:,}"


def _facts(figures: Any, sizes: Any) -> str:
    rows = [
        [name, *(f"{both[who][key]:.{digits}f}" for key, digits in KEYS for who in ("ours", "optax"))]
        for name, both in figures.items()
    ]
    columns = ["step", *(f"{key}, {who}" for key, _ in KEYS for who in ("ours", "optax"))]
    note = (
        f"The compiled step of one leaf of {count(sizes['facts'])} entries. Per entry: bytes moved and flops as XLA "
        "counts them (both branches of a condition count), temporary bytes. Aliased: share of the donated memory that "
        "the results reuse."
    )
    return _table("The compiled step", columns, rows, note)


def _traces(figures: Any, sizes: Any) -> str:
    rows = [
        [name, *("not possible" if n is None else str(n) for n in (ours, theirs))]
        for name, (ours, theirs) in figures.items()
    ]
    note = "How often a jitted step of adamw is traced for eight settings (learning rate × weight decay)."
    return _table("Traces", ["settings reach the step as", "ours", "optax"], rows, note)


def _faults(figures: Any, sizes: Any) -> str:
    rows = [
        [dtype, kind, str(ours), str(theirs)]
        for dtype, kinds in figures["grid"].items()
        for kind, (ours, theirs) in kinds.items()
    ]
    title = f"Optimizers with a non-finite update, of {figures['optimizers']}"
    grid = _table(title, ["dtype", "gradient", "ours", "optax"], rows)
    rest = [
        [f"second moment in bfloat16 after a tenfold drop of the gradient, over that in float32: {who}", f"{x:.2f}"]
        for who, x in figures["moment"].items()
    ]
    rest += [
        [f"accumulate, updates finite again after an infinite micro-batch: {who}", "yes" if ok else "no"]
        for who, ok in figures["after_inf"].items()
    ]
    return grid + "\n" + _table("Faults", ["", ""], rest)


def _large(figures: Any, sizes: Any) -> str:
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
    note = (
        f"One leaf of {count(sizes['large'])} entries. The memory limit is the time in which an in-place axpy moves as "
        "many bytes as the step must."
    )
    return _table("A large leaf", columns, rows, note)


def _small(figures: Any, sizes: Any) -> str:
    rows = [
        [
            name,
            *(f"{1e3 * row[f'ours {way}']:.3f}" for way in WAYS),
            *(f"{row[f'ours {way}'] / row[f'optax {way}']:.2f}" for way in WAYS),
            f"{row['ours donated'] / row['torch']:.2f}" if "torch" in row else "",
        ]
        for name, row in figures.items()
    ]
    columns = [
        "step",
        *(f"{way}, ms" for way in WAYS),
        *(f"{way} / optax {way}" for way in WAYS),
        "donated / torch fused",
    ]
    note = (
        "An MLP of 6 leaves and 9,000 entries. Eager: `update` outside jit. Jitted: `jit(update)` without donation, "
        "which copies the state. Donated: a jitted step with parameters and state donated, as in training."
    )
    return _table("A small tree", columns, rows, note)


def _accumulate(figures: Any, sizes: Any) -> str:
    names = {"ours": "accumulate", "optax": "optax.MultiSteps"}
    rows = [
        [
            f"{names[who]}, {part}",
            f"{1e3 * seconds[part]:.2f}",
            f"{seconds[part] / seconds['axpy']:.2f}",
            f"{figures['ours'][part] / figures['optax'][part]:.2f}" if who == "ours" else "",
        ]
        for part in ("idle", "emitting")
        for who, seconds in figures.items()
    ]
    axpy = [figures[who]["axpy"] for who in names]
    rows.append(["in-place axpy", f"{1e3 * sum(axpy) / len(axpy):.2f}", "1.00", ""])
    note = (
        f"Two micro-steps of adamw on one leaf of {count(sizes['accumulate'])} entries: the first only accumulates "
        "(idle), the second emits. Each is divided by the axpy that took turns with it, of which there is one for each "
        "library; the last row is their mean."
    )
    return _table("Micro-steps", ["micro-step", "ms", "of an in-place axpy", "ours / optax"], rows, note)


def _rows(figures: Any, sizes: Any) -> str:
    rows = [
        [what, f"{scale * sparse:.2f} {unit}", f"{scale * dense:.2f} {unit}", f"{sparse / dense:.4f}"]
        for what, scale, unit, sparse, dense in (
            ("time", 1e3, "ms", figures["rows"], figures["dense"]),
            ("temporary", 1e-6, "MB", figures["rows temporary"], figures["dense temporary"]),
        )
    ]
    height, width, ids = sizes["table"]
    note = (
        f"AdaGrad on a table of {height:,} × {width}; {ids:,} ids drawn by Zipf's law, {figures['distinct']:.0f} of "
        "them distinct. Dense: our adagrad on the whole table."
    )
    return _table("Rows", ["", "rows.adagrad", "dense", "ratio"], rows, note)


def _half(figures: Any, sizes: Any) -> str:
    rows = [[name, f"{1e3 * x:.2f}", f"{x / figures['nearest']:.2f}"] for name, x in figures.items()]
    title = f"Low precision: Adam's step, {count(sizes['half'])} entries"
    return _table(title, ["", "ms", "of bfloat16 to nearest"], rows)


def _state(figures: Any, sizes: Any) -> str:
    return _table("State, bytes per entry", ["", "bytes"], [[name, f"{x:.3f}"] for name, x in figures.items()])


def _training(figures: Any, sizes: Any) -> str:
    ways = list(next(iter(figures.values())))
    rows = [
        [name, *(f"{x:.4f} ({100 * (x / row['float32'] - 1):+.1f} %)" for x in row.values())]
        for name, row in figures.items()
    ]
    steps, seeds = sizes["training"]
    note = (
        f"Final training loss of Adam, MLP with two hidden layers of 128, {steps} steps of batch 64, mean over seeds "
        f"({seeds}); in brackets the change from float32."
    )
    return _table("Low precision: training", ["task, learning rate", *ways], rows, note)


RENDER: dict[str, Callable[[Any, Any], str]] = {
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
